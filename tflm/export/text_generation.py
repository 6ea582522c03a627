"""The graph of a language model from strings to strings: continuations of texts, and their scores.

One module serves the task in Python and the exported SavedModel, so both give the same strings.
`B` batch, `P` prompt length, `n` hypotheses of a prompt, `L` positions that the model has, `W`
windows, `T` tokens of the longest of them.
"""

import contextlib
import functools
import re
from collections.abc import Sequence
from typing import Any, Protocol

import tensorflow as tf

from tflm.export.constants import Constants
from tflm.generation import Beam, Greedy, Limits, Sample, generate
from tflm.generation.stopping import StopStrings, stop_strings
from tflm.tokenizers.spelling import spelling

# Logits in memory at once when texts are scored; 4 bytes each.
_LOGITS_AT_ONCE = 1 << 25

_NO_TOKEN = -1  # what ends a text of a model that knows no end


class Decoder(Protocol):
    """What this module needs of a model."""

    weights: Any
    config: Any

    def start(self, padding_mask: Any, max_length: int | None = None) -> dict:
        """The prompts' mask `(B, P)` -> the cache before the first token."""
        ...

    def decode(
        self, token_ids: Any, cache: dict, index: Any = 0, training: bool | None = None
    ) -> tuple[Any, dict]:
        """Token ids `(N, T)` -> logits `(N, T, V)`, cache."""
        ...

    def call(self, inputs: dict, training: bool | None = None) -> Any:
        """Token ids and mask `(B, T)` -> logits `(B, T, V)`."""
        ...


class TextGenerator(tf.Module):
    """A decoder and its tokenizer as functions of strings.

    Args:
        model: a decoder.
        tokenizer: its tokenizer.
        begin_id: the token in front of every text.
        end_id: the token that ends one, or `None`.
        pad_id: the token that fills rows.
        strategy: `Beam`, `Greedy` or `Sample`.
        limits: length limits of what is written, in tokens.
        max_prompt_length: tokens read of a prompt, `begin_id` included: the last ones of a longer
            prompt, which is reported as `truncated`.
        context_length: `L`; `None` where nothing bounds it.
        stop: strings that end a text, and are not in it.
        freeze: whether the weights that decoding multiplies become constants of the graph: faster
            on a CPU, slower to load.

    Raises:
        ValueError: `freeze` is asked for weights too large for a graph, or a stop string is empty.
    """

    def __init__(
        self,
        model: Decoder,
        tokenizer: Any,
        *,
        begin_id: int,
        end_id: int | None,
        pad_id: int,
        strategy: Beam | Greedy | Sample,
        limits: Limits,
        max_prompt_length: int,
        context_length: int | None = None,
        stop: Sequence[str] = (),
        freeze: bool = False,
    ):
        super().__init__()
        self._constants = Constants(model.weights) if freeze else None
        # A SavedModel needs the weights alone; a tracked Keras model would be traced as a whole.
        self._variables = [weight.value for weight in model.weights]
        self._weights = lambda: model.weights
        self._start = model.start
        self._model_decode = functools.partial(model.decode, training=False)
        self._model_call = functools.partial(model.call, training=False)
        self.vocab_size = model.config.vocab_size
        self.tokenizer = tokenizer
        self.begin_id = begin_id
        self.end_id = _NO_TOKEN if end_id is None else end_id
        self.pad_id = pad_id
        self.strategy = strategy
        self.limits = limits
        self.max_prompt_length = max_prompt_length
        self.context_length = context_length
        self._stop = None
        if stop := stop_strings(stop):
            surplus = [b""] * (self.vocab_size - tokenizer.vocab_size)
            self._stop = StopStrings(stop, *(each + surplus for each in spelling(tokenizer)))
        self._from_stop = f"(?s)(?:{'|'.join(map(re.escape, stop))}).*"

    def continuations(self, texts: Any, seed: Any = None) -> dict[str, Any]:
        """Strings `(B,)` -> what may follow each.

        Args:
            texts: strings `(B,)`.
            seed: for `Sample`, integers `(B,)`, one for each text; by default new ones.

        Returns:
            `text` string `(B, n)` and `score` float32 `(B, n)`, best first, the prompt excluded;
            `finished` boolean `(B,)`: the best one ended, by itself or before a stop string,
            rather than reached the limit;
            `truncated` boolean `(B,)`: the prompt was longer than `max_prompt_length`.
        """
        count = tf.shape(texts)[0]
        missing = tf.maximum(1 - count, 0)
        # An empty batch is decoded as one empty text and cut off again.
        texts = tf.concat([texts, tf.fill([missing], "")], axis=0)
        if seed is not None:
            seed = tf.concat([seed, tf.zeros([missing], seed.dtype)], axis=0)
        prompts, cut = self.prompts(texts)  # ragged (B, None)
        prompt_ids, padding_mask = pad_left(prompts, self.pad_id)  # (B, P)
        generated = generate(
            self.decode,
            self._start(padding_mask, self.context_length),
            prompt_ids,
            strategy=self.strategy,
            limits=self.limits,
            eos_id=self.end_id,
            pad_id=self.pad_id,
            seed=seed,
            stop=self._stop,
            stop_states=None if self._stop is None else self._stop.start(prompts[:, 1:]),
        )
        shape = tf.shape(generated.token_ids)  # (B, n, L)
        ragged: Any = tf.RaggedTensor  # its constructors are unknown to type checkers
        written = ragged.from_tensor(
            tf.reshape(generated.token_ids, [shape[0] * shape[1], shape[2]]),
            lengths=tf.reshape(generated.lengths, [-1]),
        )
        read = tf.gather(prompts[:, 1:], tf.repeat(tf.range(shape[0]), shape[1]))
        text = tf.reshape(self.continuation(read, written), shape[:2])  # (B, n)
        finished = generated.finished[:, 0]  # (B,)
        if self._stop is not None:
            whole = text
            text = tf.strings.regex_replace(text, self._from_stop, "", replace_global=False)
            # A stop string of U+FFFD, which stands for bytes of no character, is found here only.
            finished |= text[:, 0] != whole[:, 0]
        return {
            "text": text[:count],
            "score": generated.scores[:count],
            "finished": finished[:count],
            "truncated": cut[:count],
        }

    def prompts(self, texts: Any) -> tuple[Any, Any]:
        """Strings `(B,)` -> `begin_id` and their last tokens, ragged; and which were cut."""
        ids = self._tokenize(texts)
        most = self.max_prompt_length - 1
        cut = ids.row_lengths() > most  # (B,)
        begin = tf.fill([tf.shape(texts)[0], 1], self.begin_id)
        return tf.concat([begin, ids[:, -most:] if most else ids[:, :0]], axis=1), cut

    def _tokenize(self, texts: Any) -> Any:
        return self.tokenizer.tokenize(tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8"))

    def continuation(self, read: Any, written: Any) -> Any:
        """The text of `written` after `read`: ragged ids of as many rows -> strings.

        A token's text depends on what stands before it: a space at the start of a text is none.
        """
        whole = self.tokenizer.detokenize(tf.concat([read, written], axis=1))
        start = tf.strings.length(self.tokenizer.detokenize(read))  # in bytes
        rest = tf.strings.substr(whole, start, tf.strings.length(whole) - start)
        return tf.strings.unicode_transcode(rest, "UTF-8", "UTF-8")

    def _scope(self) -> Any:
        """Inside, weights are read as constants where they are frozen."""
        return self._constants.scope() if self._constants else contextlib.nullcontext()

    def decode(self, token_ids: Any, cache: dict, index: Any = 0) -> tuple[Any, dict]:
        """The model's step."""
        with self._scope():
            return self._model_decode(token_ids, cache, index)

    def log_probability(self, texts: Any, contexts: Any = None) -> dict[str, Any]:
        """Scores given texts, of any length: strings `(B,)`.

        A text's end token is not counted: this is the probability that a text begins like this.
        White space at the end of a context counts as the beginning of the text. What is longer
        than the model's positions is read in windows, each token counted once; a window begins
        where the one before ended, and the last reaches back as far as it can (as in EleutherAI's
        lm-eval).

        Args:
            texts: strings `(B,)`.
            contexts: what stands before each, strings `(B,)`, not counted; nothing by default.

        Returns:
            `log_probability` float32 `(B,)`, the sum over the text's tokens; `num_tokens` int32
            `(B,)`; `is_greedy` boolean `(B,)`: each of its tokens is the likeliest one.
        """
        ids, skipped = self._scored_ids(texts, contexts)  # ragged (B, None), (B,)
        windows = _windows(ids, skipped, self.context_length)
        log_probabilities, misses = self._score_windows(windows, tf.shape(windows["ids"])[1])
        count = ids.nrows(tf.int32)
        total = tf.math.unsorted_segment_sum(log_probabilities, windows["row"], count)
        missed = tf.math.unsorted_segment_sum(misses, windows["row"], count)
        return {
            "log_probability": total,
            "num_tokens": tf.cast(ids.row_lengths(), tf.int32) - 1 - skipped,
            "is_greedy": missed == 0,
        }

    def _scored_ids(self, texts: Any, contexts: Any) -> tuple[Any, Any]:
        """Ids of context and text after `begin_id`, ragged `(B, None)`; ids of contexts `(B,)`."""
        begin = tf.fill([tf.shape(texts)[0], 1], self.begin_id)
        if contexts is None:
            return tf.concat([begin, self._tokenize(texts)], axis=1), tf.zeros_like(begin[:, 0])
        ids = self._tokenize(tf.strings.join([contexts, texts]))
        contexts = tf.strings.regex_replace(contexts, r"[\s\p{Z}]+$", "")
        skipped = tf.minimum(self._tokenize(contexts).row_lengths(), ids.row_lengths())
        return tf.concat([begin, ids], axis=1), tf.cast(skipped, tf.int32)

    def _score_windows(self, windows: dict[str, Any], length: Any) -> tuple[Any, Any]:
        """Sums of log-probabilities, and how many tokens were not the likeliest, `(W,)` each."""
        # A few at a time: the logits of all may not fit into memory.
        at_once = tf.maximum(_LOGITS_AT_ONCE // (length * self.vocab_size), 1)
        number = tf.shape(windows["row"])[0]
        at_once = tf.maximum(tf.minimum(at_once, number), 1)
        groups = tf.maximum((number + at_once - 1) // at_once, 1)

        def grouped(x: Any) -> Any:
            x = tf.concat([x, tf.zeros([groups * at_once - number, length], x.dtype)], axis=0)
            return tf.reshape(x, [groups, at_once, length])

        sums, misses = tf.map_fn(
            lambda group: self._score_group(*group),
            tuple(grouped(windows[name]) for name in ("ids", "mask", "labels", "counted")),
            fn_output_signature=(
                tf.TensorSpec([None], tf.float32),
                tf.TensorSpec([None], tf.int32),
            ),
        )
        return tf.reshape(sums, [-1])[:number], tf.reshape(misses, [-1])[:number]

    def _score_group(self, ids: Any, mask: Any, labels: Any, counted: Any) -> tuple[Any, Any]:
        with self._scope():
            logits = self._model_call({"token_ids": ids, "padding_mask": mask})  # (G, T, V)
        logits = tf.cast(logits, tf.float32)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)  # (G, T)
        miss = counted & (tf.argmax(logits, axis=-1, output_type=tf.int32) != labels)
        return (
            tf.reduce_sum(tf.where(counted, -losses, 0.0), axis=1),
            tf.reduce_sum(tf.cast(miss, tf.int32), axis=1),
        )

    def signatures(self) -> dict[str, Any]:
        """The functions a server offers, by signature name; every tensor has a batch dimension."""
        strings = [tf.TensorSpec([None], tf.string, name="text")]

        @tf.function(input_signature=strings, autograph=False)
        def serving_default(text: Any) -> dict[str, Any]:
            found = self.continuations(text)
            return {**found, "text": found["text"][:, 0], "score": found["score"][:, 0]}

        @tf.function(input_signature=strings, autograph=False)
        def score(text: Any) -> dict[str, Any]:
            found = self.log_probability(text)
            return {name: found[name] for name in ("log_probability", "num_tokens")}

        functions = {"serving_default": serving_default, "score": score}
        if self._constants is not None:
            for function in functions.values():
                function.get_concrete_function()
            held = self._constants.holds
            self._variables = [weight.value for weight in self._weights() if not held(weight)]
        return functions


def pad_left(ids: Any, pad_id: int) -> tuple[Any, Any]:
    """Ragged `(B, None)` -> int32 `(B, P)` with the padding in front, boolean mask `(B, P)`."""
    dense = ids.to_tensor(pad_id)  # (B, P)
    width = tf.shape(dense)[1]
    missing = width - tf.cast(ids.row_lengths(), tf.int32)  # (B,)
    places = tf.range(width)[None] - missing[:, None]  # (B, P)
    mask = places >= 0
    moved = tf.gather(dense, tf.maximum(places, 0), batch_dims=1)
    return tf.where(mask, moved, pad_id), mask


def _windows(ids: Any, skipped: Any, context_length: int | None) -> dict[str, Any]:
    """The windows in which rows of tokens are read and counted.

    Args:
        ids: ragged `(B, None)`, at least one token a row; a label is the token after a token.
        skipped: int32 `(B,)`, labels of each row that are not counted.
        context_length: `L`, or `None`.

    Returns:
        int32 `row` `(W,)`; int32 `ids` and `labels`, boolean `mask` and `counted`, all `(W, T)`.
    """
    labels = tf.cast(ids.row_lengths(), tf.int32) - 1  # (B,)
    size = tf.maximum(tf.reduce_max(labels), 1) if context_length is None else context_length
    number = (labels - skipped + size - 1) // size  # (B,)
    row = tf.repeat(tf.range(tf.shape(labels)[0]), number)  # (W,)
    which = tf.range(tf.shape(row)[0]) - tf.gather(tf.cumsum(number, exclusive=True), row)
    first = tf.gather(skipped, row) + which * size  # counted
    end = tf.minimum(first + size, tf.gather(labels, row))
    start = tf.maximum(end - size, 0)
    places = start[:, None] + tf.range(tf.maximum(tf.reduce_max(end - start), 1))  # (W, T)
    mask = places < end[:, None]
    flat = tf.gather(tf.cast(ids.row_starts(), tf.int32), row)[:, None] + places
    values = tf.cast(ids.flat_values, tf.int32)
    return {
        "row": row,
        "ids": tf.gather(values, tf.where(mask, flat, 0)),
        "labels": tf.gather(values, tf.where(mask, flat + 1, 0)),
        "mask": mask,
        "counted": mask & (places >= first[:, None]),
    }
