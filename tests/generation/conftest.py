"""Small deterministic decoders, and a beam search written to be read, not to be fast."""

import numpy as np
import pytest
import tensorflow as tf

BOS, EOS = 2, 3
TABLE_ROWS, MAX_POSITIONS = 509, 32


class PrefixModel:
    """Logits that depend on the whole prefix and on the sentence, through both kinds of cache.

    `keys` (N, 2, t, 3) grows, `sums` (N, 1) keeps its shape. Each alone identifies the prefix, and
    each picks half of the logits, so a row whose cache belongs to another row shows in the answer.
    """

    def __init__(self, table, salts):
        self.table = tf.convert_to_tensor(table, tf.float32)  # (R, V)
        self.salts = tf.convert_to_tensor(salts, tf.int32)  # (B,)
        self.weights = self.hash_weights(self.table.shape[1])

    @staticmethod
    def hash_weights(vocab_size):
        return np.random.default_rng(5).integers(0, TABLE_ROWS, (MAX_POSITIONS, vocab_size))

    @staticmethod
    def random_table(vocab_size, seed, spread=1.5):
        random = np.random.default_rng(seed)
        return (spread * random.standard_normal((TABLE_ROWS, vocab_size))).astype("float32")

    def start(self):
        rows = tf.shape(self.salts)[0]
        step = {"keys": tf.zeros((rows, 2, 0, 3)), "sums": tf.zeros((rows, 1), tf.int32)}
        return {"step": step, "memory": {"salts": self.salts}}

    def decode(self, token_ids, cache, index):
        keys, sums = cache["step"]["keys"], cache["step"]["sums"]
        tf.debugging.assert_equal(index, tf.shape(keys)[2], "index is not the cached length")
        new = tf.cast(token_ids, tf.float32)[:, None, :, None]
        keys = tf.concat([keys, tf.tile(new, (1, 2, 1, 3))], axis=2)  # (N, 2, t + T, 3)
        weights = tf.constant(self.weights, tf.int32)
        positions = tf.range(tf.shape(keys)[2])
        seen = tf.cast(keys[:, 1, :, 2], tf.int32)
        terms = tf.gather_nd(weights, tf.stack([positions + 0 * seen, seen], axis=-1))
        by_keys = tf.cumsum(terms, axis=1)[:, index:]  # (N, T)
        by_sums = sums + tf.cumsum(terms[:, index:], axis=1)  # (N, T)
        salts = cache["memory"]["salts"]
        repeats = tf.shape(keys)[0] // tf.maximum(tf.shape(salts)[0], 1)
        salts = tf.repeat(salts, repeats)[:, None]  # (N, 1)
        logits = tf.gather(self.table, (by_keys + salts) % TABLE_ROWS)
        logits += tf.gather(self.table, (3 * by_sums + salts) % TABLE_ROWS)  # (N, T, V)
        return logits, {**cache, "step": {"keys": keys, "sums": by_sums[:, -1:]}}

    def naive_logits(self, row, prefix):
        """(V,) float64, with no cache: what follows `prefix` in sentence `row`."""
        total = sum(int(self.weights[position, token]) for position, token in enumerate(prefix))
        table, salt = self.table.numpy(), int(self.salts[row])
        halves = table[(total + salt) % TABLE_ROWS] + table[(3 * total + salt) % TABLE_ROWS]
        return halves.astype("float64")


class Reference:
    """Search over `logits_of(prefix)` in plain Python, by the definitions."""

    def __init__(self, logits_of, prompt, limits, length_penalty="none", alpha=0.0):
        self.logits_of, self.prompt, self.limits = logits_of, list(prompt), limits
        penalties = {
            "gnmt": lambda length: ((5 + length) / 6) ** alpha,
            "power": lambda length: length**alpha,
            "none": lambda length: 1.0,
        }
        self.penalty = penalties[length_penalty]

    def continuations(self, text):
        """[(log-probability, token)] of what may follow, by token."""
        limits, history = self.limits, self.prompt + text
        logits = self.logits_of(history).copy()
        for token in set(history) - {EOS}:
            factor = limits.repetition_penalty
            logits[token] = logits[token] / factor if logits[token] > 0 else logits[token] * factor
        log_probs = logits - np.log(np.exp(logits - logits.max()).sum()) - logits.max()
        blocked = set()
        if len(text) + 1 < limits.min_length:
            blocked.add(EOS)
        size = limits.no_repeat_ngram_size
        if size:
            grams = [tuple(history[i : i + size]) for i in range(len(history) - size + 1)]
            after = tuple(history[len(history) - size + 1 :]) if size > 1 else ()
            blocked |= {gram[-1] for gram in grams if gram[:-1] == after} - {EOS}
        return [(value, token) for token, value in enumerate(log_probs) if token not in blocked]

    def hypothesis(self, log_prob, text):
        """(score, log-probability, ids without eos, finished)."""
        finished = text[-1] == EOS
        return log_prob / self.penalty(len(text)), log_prob, text[: len(text) - finished], finished

    def beam(self, num_beams):
        """All hypotheses that a beam of this width meets, best first; it never stops early."""
        live, pool = [(0.0, [])], []
        for _ in range(self.limits.max_length):
            candidates = [
                (log_prob + value, [*text, token])
                for log_prob, text in live
                for value, token in self.continuations(text)
            ]
            candidates = sorted(candidates, key=lambda each: -each[0])[: 2 * num_beams]
            ended = [each for each in candidates[:num_beams] if each[1][-1] == EOS]
            pool += [self.hypothesis(*each) for each in ended]
            live = [each for each in candidates if each[1][-1] != EOS][:num_beams]
        pool += [self.hypothesis(*each) for each in live]
        return sorted(pool, key=lambda each: -each[0])

    def everything(self):
        """All hypotheses there are, best first."""
        found = []

        def extend(log_prob, text):
            if text and (text[-1] == EOS or len(text) == self.limits.max_length):
                found.append(self.hypothesis(log_prob, text))
                return
            for value, token in self.continuations(text):
                extend(log_prob + value, [*text, token])

        extend(0.0, [])
        return sorted(found, key=lambda each: -each[0])

    def greedy(self):
        log_prob, text = 0.0, []
        while len(text) < self.limits.max_length and (not text or text[-1] != EOS):
            value, token = max(self.continuations(text), key=lambda each: each[0])
            log_prob, text = log_prob + value, [*text, token]
        return self.hypothesis(log_prob, text)


def hypotheses_of(generated, row):
    """[(score, log-probability, ids, finished)] of a sentence, as `Reference` writes them."""
    parts = (generated.scores, generated.log_probs, generated.token_ids, generated.finished)
    scores, log_probs, ids, finished = (np.asarray(part)[row] for part in parts)
    lengths = np.asarray(generated.lengths)[row]
    return [
        (float(scores[i]), float(log_probs[i]), ids[i, : lengths[i]].tolist(), bool(finished[i]))
        for i in range(len(lengths))
    ]


@pytest.fixture(scope="session")
def prefix_model():
    return PrefixModel


@pytest.fixture(scope="session")
def reference():
    return Reference


@pytest.fixture(scope="session")
def hypotheses():
    return hypotheses_of


@pytest.fixture(scope="session")
def same():
    """Asserts that two lists of hypotheses agree: texts exactly, numbers closely."""

    def check(ours, theirs):
        assert [each[2:] for each in ours] == [each[2:] for each in theirs]
        np.testing.assert_allclose(
            [each[:2] for each in ours], [each[:2] for each in theirs], rtol=2e-5, atol=2e-5
        )

    return check


class AttentionModel(tf.Module):
    """One layer of self- and cross-attention with random weights and a growing cache."""

    WIDTH, HEADS, KEY, VOCAB = 10, 2, 5, 13

    def __init__(self, seed=0, dtype=tf.float32):
        super().__init__()
        random = np.random.default_rng(seed)

        def weight(*shape):
            return tf.Variable(tf.cast(0.9 * random.standard_normal(shape), dtype))

        self.embedding = weight(self.VOCAB, self.WIDTH)
        self.positions = weight(MAX_POSITIONS, self.WIDTH)
        self.own = [weight(self.WIDTH, self.HEADS, self.KEY) for _ in range(3)]
        self.cross = [weight(self.WIDTH, self.HEADS, self.KEY) for _ in range(3)]
        self.output = weight(self.WIDTH, self.VOCAB)

    def start(self, memory):
        rows, dtype = tf.shape(memory)[0], memory.dtype
        empty = tf.zeros((rows, self.HEADS, 0, self.KEY), dtype)
        keys, values = (tf.einsum("bsd,dhk->bhsk", memory, w) for w in self.cross[1:])
        return {"step": {"keys": empty, "values": empty}, "memory": [keys, values]}

    def decode(self, token_ids, cache, index):
        length = tf.shape(token_ids)[1]
        hidden = tf.gather(self.embedding, token_ids) + self.positions[index : index + length]
        query, keys, values = (tf.einsum("ntd,dhk->nhtk", hidden, w) for w in self.own)
        keys = tf.concat([cache["step"]["keys"], keys], axis=2)
        values = tf.concat([cache["step"]["values"], values], axis=2)
        reach = index + tf.range(length)[:, None] >= tf.range(index + length)  # (T, t)
        hidden += self.attend(query, keys, values, tf.where(reach, 0.0, -1e9))
        query = tf.einsum("ntd,dhk->nhtk", hidden, self.cross[0])
        sentences = tf.shape(cache["memory"][0])[0]
        beams = tf.shape(token_ids)[0] // tf.maximum(sentences, 1)
        memory = [tf.repeat(part, beams, axis=0) for part in cache["memory"]]
        hidden += self.attend(query, *memory, 0.0)
        logits = tf.einsum("ntd,dv->ntv", hidden, self.output)
        return logits, {**cache, "step": {"keys": keys, "values": values}}

    def attend(self, query, keys, values, bias):
        scores = tf.einsum("nhtk,nhsk->nhts", query, keys) + tf.cast(bias, query.dtype)
        mixed = tf.einsum("nhts,nhsk->nthk", tf.nn.softmax(scores), values)
        return tf.reshape(mixed, tf.concat([tf.shape(mixed)[:2], [self.WIDTH]], axis=0))

    def naive_logits(self, memory, prefix):
        """(V,) float64, from the whole prefix at once, for one sentence's memory (S, D)."""
        logits, _ = self.decode(tf.constant([prefix]), self.start(memory[None]), tf.constant(0))
        return logits[0, -1].numpy().astype("float64")


@pytest.fixture(scope="session")
def attention_model():
    return AttentionModel
