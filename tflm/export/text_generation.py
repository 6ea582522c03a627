"""The graph of a language model from strings to strings: continuations of texts, and their scores.

One module serves the task in Python and the exported SavedModel, so both give the same strings.
`B` batch, `P` prompt length, `n` hypotheses of a prompt, `L` positions that the model has, `W`
windows, `T` tokens of the longest of them.
"""

import contextlib
import copy
import functools
import re
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol, Self

import tensorflow as tf

from tflm.export.options import OPTIONS, write_by_options
from tflm.export.served_module import ServedModule, one_at_least, signature
from tflm.export.sharing import RAGGED_IDS, Shared, SharedStep
from tflm.export.streaming import Stream
from tflm.export.token_strings import TokenStrings
from tflm.export.windows import pad_left, windows
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


class TextGenerator(ServedModule):
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

    OFFERED: ClassVar[tuple[str, ...]] = ("serving_default", "score", "tokenize")

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
        super().__init__(model.weights, freeze)
        self._model_start = model.start
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
        self._stop_strings = tuple(stop)
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
        count, texts = one_at_least(texts)
        if seed is not None:
            seed = one_at_least(seed)[1]
        prompts, cut = self.prompts(texts)  # ragged (B, None)
        found = self._continued(prompts, self.strategy, seed=seed)
        return {name: value[:count] for name, value in {**found, "truncated": cut}.items()}

    def _start(self, padding_mask: Any) -> dict[str, Any]:
        """The prompts' mask `(B, P)` -> the cache before the first token."""
        return self._with_weights(self._model_start(padding_mask, self.context_length))

    def _decoding_weights(self) -> Callable[[], dict[str, Any]] | None:
        def make() -> dict[str, Any]:
            with self._scope():
                start = self._model_start(tf.ones([1, 1], tf.bool), self.context_length)
            return start.get("weights", {})

        return make if make() else None

    def _continued(
        self, prompts: Any, strategy: Any, max_lengths: Any = None, seed: Any = None
    ) -> dict[str, Any]:
        """What follows prompts, ragged `(B, None)`: as `continuations`, without `truncated`."""
        prompt_ids, padding_mask = pad_left(prompts, self.pad_id)  # (B, P)
        generated = generate(
            self.decode,
            self._start(padding_mask),
            prompt_ids,
            strategy=strategy,
            limits=self.limits,
            eos_id=self.end_id,
            pad_id=self.pad_id,
            seed=seed,
            max_lengths=max_lengths,
            prompt_mask=padding_mask,
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
        return {"text": text, "score": generated.scores, "finished": finished}

    def by_options(self, texts: Any, options: dict[str, Any]) -> dict[str, Any]:
        """Strings `(B,)` and what `tflm.export.options` says -> what may follow each."""
        count, texts = one_at_least(texts)
        options = {name: one_at_least(value)[1] for name, value in options.items()}
        prompts, cut = self.prompts(texts)  # ragged (B, None)

        def write(rows: Any, strategy: Any, max_lengths: Any, seed: Any) -> dict[str, Any]:
            found = self._continued(tf.gather(prompts, rows), strategy, max_lengths, seed)
            return {**found, "text": found["text"][:, 0], "score": found["score"][:, 0]}

        found = write_by_options(write, options, self.strategy, self.limits.max_length)
        return {name: value[:count] for name, value in {**found, "truncated": cut}.items()}

    def stream(self) -> Stream:
        """What `prefill` and `decode_step` are made of."""

        def start() -> dict[str, Any]:
            return self._start(tf.ones([1, 1], tf.bool))

        return Stream(
            self.decode,
            lambda: {name: value for name, value in start().items() if name != "step"},
            start(),
            lambda read, written: self.continuation(read[:, 1:], written),
            limits=self.limits,
            max_read=self.max_prompt_length + self.limits.max_length - 1,
            end_id=self.end_id,
            pad_id=self.pad_id,
            stop=self._stop_strings,
        )

    def prefill(self, texts: Any, stream: Stream) -> dict[str, Any]:
        """Strings `(B,)` -> what `tflm.export.streaming` says, and `truncated`: it was cut."""
        count, texts = one_at_least(texts)
        prompts, cut = self.prompts(texts)
        prompt_ids, padding_mask = pad_left(prompts, self.pad_id)  # (B, P)
        lengths = tf.cast(prompts.row_lengths(), tf.int32)  # (B,)
        found = stream.prefill(
            self._start(padding_mask),
            prompt_ids,
            lengths,
            tf.zeros_like(lengths) + self.limits.max_length,
            tf.ones_like(cut),
        )
        return {name: value[:count] for name, value in {**found, "truncated": cut}.items()}

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
        read = windows(ids, skipped, self.context_length)
        log_probabilities, misses = self._score_windows(read, tf.shape(read["ids"])[1])
        count = ids.nrows(tf.int32)
        total = tf.math.unsorted_segment_sum(log_probabilities, read["row"], count)
        missed = tf.math.unsorted_segment_sum(misses, read["row"], count)
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

    def _score_windows(self, read: dict[str, Any], length: Any) -> tuple[Any, Any]:
        """Sums of log-probabilities, and how many tokens were not the likeliest, `(W,)` each."""
        # A few at a time: the logits of all may not fit into memory.
        at_once = tf.maximum(_LOGITS_AT_ONCE // (length * self.vocab_size), 1)
        number = tf.shape(read["row"])[0]
        at_once = tf.maximum(tf.minimum(at_once, number), 1)
        groups = tf.maximum((number + at_once - 1) // at_once, 1)

        def grouped(x: Any) -> Any:
            x = tf.concat([x, tf.zeros([groups * at_once - number, length], x.dtype)], axis=0)
            return tf.reshape(x, [groups, at_once, length])

        sums, misses = tf.map_fn(
            lambda group: self._score_group(*group),
            tuple(grouped(read[name]) for name in ("ids", "mask", "labels", "counted")),
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

    def _sharing(self) -> Self:
        twin: Any = copy.copy(self)
        twin.decode = SharedStep(self.decode, self._weights())
        twin.continuation = Shared(self.continuation, [RAGGED_IDS, RAGGED_IDS])
        twin.prompts = Shared(self.prompts, [tf.TensorSpec([None], tf.string)])
        return twin

    def _builders(self) -> dict[str, Callable[[], Any]]:
        def serving_default(text: Any) -> dict[str, Any]:
            found = self.continuations(text)
            return {**found, "text": found["text"][:, 0], "score": found["score"][:, 0]}

        def score(text: Any) -> dict[str, Any]:
            found = self.log_probability(text)
            return {name: found[name] for name in ("log_probability", "num_tokens")}

        def options(text: Any, *values: Any) -> dict[str, Any]:
            return self.by_options(text, dict(zip(OPTIONS, values, strict=True)))

        strings = functools.cache(lambda: TokenStrings(self.tokenizer))
        stream = functools.cache(self.stream)
        return {
            "serving_default": lambda: signature(serving_default, text=tf.string),
            "score": lambda: signature(score, text=tf.string),
            "tokenize": lambda: signature(
                lambda text: strings().tokenized(self._tokenize(text)), text=tf.string
            ),
            "options": lambda: signature(options, text=tf.string, **OPTIONS),
            "prefill": lambda: signature(lambda text: self.prefill(text, stream()), text=tf.string),
            "decode_step": lambda: stream().signature(),
        }
