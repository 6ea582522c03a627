"""The graph from text to text: tokenize, encode, decode with a cache, detokenize.

One module serves the task in Python and the exported SavedModel, so both give the same strings.
`B` batch, `S` source length, `T` target length, `n` hypotheses of a text.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from tflm.export.constants import Constants
from tflm.generation import Beam, Greedy, Limits, Sample, generate


class EncoderDecoder(Protocol):
    """What this module needs of a model.

    The names of special tokens are those of a tokenizer's ids: "bos" stands for its `bos_id`.
    """

    weights: Any
    SOURCE_START: Sequence[str]
    TARGET_START: Sequence[str]
    NEVER_WRITTEN: Sequence[str]

    def encode(self, token_ids: Any, padding_mask: Any, training: bool | None = None) -> Any:
        """Token ids and mask `(B, S)` -> memory `(B, S, D)`."""
        ...

    def start(
        self,
        memory: Any,
        padding_mask: Any,
        max_length: int | None = None,
        token_ids: Any = None,
    ) -> dict:
        """Memory `(B, S, D)` -> the cache of an empty target."""
        ...

    def decode(
        self, token_ids: Any, cache: dict, index: Any = 0, training: bool | None = None
    ) -> tuple[Any, dict]:
        """Token ids `(N, T)` -> logits `(N, T, V)`, cache."""
        ...


class TextToText(tf.Module):
    """An encoder-decoder and its tokenizers as functions of strings.

    Args:
        model: an encoder-decoder.
        source_tokenizer: tokenizer of what is read.
        target_tokenizer: tokenizer of what is written.
        strategy: `Beam`, `Greedy` or `Sample`.
        limits: length limits of what is written, in tokens.
        max_source_length: tokens read of a text, end token included; what is longer is cut and
            reported as `truncated`.
        max_length_ratio: also limits what is written to this many tokens per token read; a model
            that does not find an end is stopped early, and reported as `truncated`.
        extra_length: tokens that `max_length_ratio` allows on top of these.
        seed: seed of sampling.
        freeze: whether the weights that decoding multiplies become constants of the graph: faster
            on a CPU, slower to load.

    Raises:
        ValueError: `freeze` is asked for weights too large for a graph, or a tokenizer lacks a
            special token that the model wants.
    """

    def __init__(
        self,
        model: EncoderDecoder,
        source_tokenizer: Any,
        target_tokenizer: Any,
        *,
        strategy: Beam | Greedy | Sample,
        limits: Limits,
        max_source_length: int,
        max_length_ratio: float | None = None,
        extra_length: int = 0,
        seed: int = 0,
        freeze: bool = False,
    ):
        super().__init__()
        self._constants = Constants(model.weights) if freeze else None
        self._output_weights = _output_weights(model) if freeze else {}
        # A SavedModel needs the weights alone; a tracked Keras model would be traced as a whole.
        self._variables = [weight.value for weight in model.weights]
        self._weights = lambda: model.weights
        self._encode = functools.partial(model.encode, training=False)
        self._start = model.start
        self._model_decode = functools.partial(model.decode, training=False)
        self.source_tokenizer = source_tokenizer
        self.target_tokenizer = target_tokenizer
        self.strategy = strategy
        self.limits = limits
        self.max_source_length = max_source_length
        self.max_length_ratio = max_length_ratio
        self.extra_length = extra_length
        self.seed = seed
        self._source_start = special_ids(source_tokenizer, model.SOURCE_START)
        self._target_start = special_ids(target_tokenizer, model.TARGET_START)
        self._never_written = special_ids(target_tokenizer, model.NEVER_WRITTEN)

    def hypotheses(self, texts: Any, strategy: Any = None) -> dict[str, Any]:
        """Strings `(B,)` -> the best hypotheses of each.

        Args:
            texts: strings `(B,)`.
            strategy: instead of the module's own.

        Returns:
            `text` string `(B, n)` and `score` float32 `(B, n)`, best first; `truncated` boolean
            `(B,)`: the text was longer than `max_source_length` or the best hypothesis reached
            the maximum length without ending.
        """
        count = tf.shape(texts)[0]
        # An empty batch is decoded as one empty text and cut off again.
        texts = tf.concat([texts, tf.fill([tf.maximum(1 - count, 0)], "")], axis=0)
        token_ids, padding_mask, cut = encode_texts(
            self.source_tokenizer, texts, self.max_source_length, self._source_start
        )
        memory = self._encode(token_ids, padding_mask)  # (B, S, D)
        prompt = repeated(self._target_start, tf.shape(token_ids)[0])  # (B, P)
        generated = generate(
            self._decode,
            self._start(memory, padding_mask, self.limits.max_length, token_ids),
            prompt,
            strategy=strategy or self.strategy,
            limits=self.limits,
            eos_id=self.target_tokenizer.eos_id,
            pad_id=self.target_tokenizer.pad_id,
            seed=self.seed,
            max_lengths=self._max_lengths(padding_mask),
            blocked_ids=self._never_written,
            num_forced=len(self._target_start) - 1,
        )
        shape = tf.shape(generated.token_ids)  # (B, n, L)
        flat = tf.reshape(generated.token_ids, [shape[0] * shape[1], shape[2]])
        written = tf.reshape(self.target_tokenizer.detokenize(flat), shape[:2])  # (B, n)
        # Nothing to read is nothing to write.
        frame = 1 + len(self._source_start)
        something = tf.reduce_sum(tf.cast(padding_mask, tf.int32), axis=1) > frame  # (B,)
        written = tf.where(something[:, None], written, "")
        scores = tf.where(something[:, None], generated.scores, 0.0)
        unfinished = tf.logical_and(something, tf.logical_not(generated.finished[:, 0]))
        return {
            "text": tf.strings.unicode_transcode(written, "UTF-8", "UTF-8")[:count],
            "score": scores[:count],
            "truncated": tf.logical_or(cut, unfinished)[:count],
        }

    def _decode(self, token_ids: Any, cache: dict, index: Any = 0) -> tuple[Any, dict]:
        """The model's step, its weights read as constants where they are frozen."""
        if self._constants is None:
            return self._model_decode(token_ids, cache, index)
        output = {
            name: self._constants.named(name, value) for name, value in self._output_weights.items()
        }
        with self._constants.scope():
            return self._model_decode(token_ids, {**cache, "weights": output}, index)

    def _max_lengths(self, padding_mask: Any) -> Any:
        """The most tokens each text may be answered with, int32 `(B,)`, or `None`."""
        if self.max_length_ratio is None:
            return None
        read = tf.reduce_sum(tf.cast(padding_mask, tf.float32), axis=1)  # (B,)
        return tf.cast(read * self.max_length_ratio, tf.int32) + self.extra_length

    def log_probability(self, sources: Any, targets: Any) -> dict[str, Any]:
        """Scores given targets: strings `(B,)`, strings `(B,)`.

        Returns:
            `log_probability` float32 `(B,)`, the sum over the target's tokens and its end token;
            `num_tokens` int32 `(B,)`; `truncated` boolean `(B,)`: source or target was cut.
        """
        count = tf.shape(sources)[0]
        missing = tf.fill([tf.maximum(1 - count, 0)], "")
        sources = tf.concat([sources, missing], axis=0)
        targets = tf.concat([targets, missing], axis=0)
        token_ids, padding_mask, source_cut = encode_texts(
            self.source_tokenizer, sources, self.max_source_length, self._source_start
        )
        labels, label_mask, target_cut = encode_texts(
            self.target_tokenizer, targets, self.limits.max_length
        )
        begin = repeated(self._target_start, tf.shape(labels)[0])  # (B, P)
        inputs = tf.concat([begin, labels[:, :-1]], axis=1)  # (B, P - 1 + T)
        memory = self._encode(token_ids, padding_mask)
        cache = self._start(memory, padding_mask, self.limits.max_length, token_ids)
        logits, _ = self._decode(inputs, cache, 0)
        logits = logits[:, len(self._target_start) - 1 :]  # (B, T, V)
        log_probabilities = -tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels, tf.cast(logits, tf.float32)
        )  # (B, T)
        log_probabilities = tf.where(label_mask, log_probabilities, 0.0)
        return {
            "log_probability": tf.reduce_sum(log_probabilities, axis=1)[:count],
            "num_tokens": tf.reduce_sum(tf.cast(label_mask, tf.int32), axis=1)[:count],
            "truncated": tf.logical_or(source_cut, target_cut)[:count],
        }

    def signatures(self) -> dict[str, Any]:
        """The functions a server offers, by signature name; every tensor has a batch dimension."""
        strings = tf.TensorSpec([None], tf.string)
        # A search for the best hypothesis alone stops sooner than one for all of them.
        every = self.strategy
        if isinstance(every, Beam):
            every = dataclasses.replace(every, num_return=every.num_beams)

        @tf.function(input_signature=[_named(strings, "text")], autograph=False)
        def serving_default(text: Any) -> dict[str, Any]:
            best = self.hypotheses(text)
            return {
                "text": best["text"][:, 0],
                "score": best["score"][:, 0],
                "truncated": best["truncated"],
            }

        @tf.function(input_signature=[_named(strings, "text")], autograph=False)
        def n_best(text: Any) -> dict[str, Any]:
            return self.hypotheses(text, every)

        @tf.function(
            input_signature=[_named(strings, "source"), _named(strings, "target")], autograph=False
        )
        def score(source: Any, target: Any) -> dict[str, Any]:
            return self.log_probability(source, target)

        functions = {"serving_default": serving_default, "n_best": n_best, "score": score}
        if self._constants is not None:
            for function in functions.values():
                function.get_concrete_function()
            held = self._constants.holds
            self._variables = [weight.value for weight in self._weights() if not held(weight)]
        return functions


def special_ids(tokenizer: Any, names: Sequence[str]) -> tuple[int, ...]:
    """The ids of special tokens: `("pad",)` -> `(tokenizer.pad_id,)`.

    Raises:
        ValueError: the tokenizer lacks one.
    """
    ids = tuple(getattr(tokenizer, f"{name}_id") for name in names)
    for name, number in zip(names, ids, strict=True):
        if number is None or number < 0:
            raise ValueError(
                f"`tokenizer` must have the special token {name!r}, which the model wants. "
                f"Received: {type(tokenizer).__name__} with {name}_id={number}"
            )
    return ids


def encode_texts(
    tokenizer: Any, texts: Any, max_length: int, start_ids: Sequence[int] = ()
) -> tuple[Any, Any, Any]:
    """Strings `(B,)` -> token ids with the end token, their mask, and which texts were cut.

    Args:
        tokenizer: a tokenizer.
        texts: strings `(B,)`; bytes that are not UTF-8 become U+FFFD.
        max_length: tokens kept of a text, special tokens included.
        start_ids: special tokens in front of each text.

    Returns:
        int32 `(B, S)`, boolean `(B, S)`, boolean `(B,)`.
    """
    ids = tokenizer.tokenize(tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8"))
    room = max_length - 1 - len(start_ids)
    cut = ids.row_lengths() > room  # (B,)
    count = tf.shape(texts)[0]
    end = tf.fill([count, 1], tokenizer.eos_id)
    start = [repeated(start_ids, count)] if start_ids else []
    ids = tf.concat([*start, ids[:, :room], end], axis=1)
    padding_mask = tf.sequence_mask(ids.row_lengths())  # (B, S)
    return ids.to_tensor(tokenizer.pad_id), padding_mask, cut


def repeated(ids: Sequence[int], rows: Any) -> Any:
    """The same ids in every row, int32 `(rows, len(ids))`."""
    return tf.tile(tf.constant(ids, tf.int32)[None], tf.stack([rows, 1]))


def _output_weights(model: EncoderDecoder) -> dict[str, Any]:
    """The weights of the logits as NumPy arrays, by name, with a bias."""
    one = tf.ones([1, 1], tf.int32)
    mask = tf.cast(one, tf.bool)
    cache = model.start(model.encode(one, mask, training=False), mask, token_ids=one)
    weights = cache.get("weights", {})
    found = {name: value.numpy() for name, value in weights.items()}
    if "output" in found and "bias" not in found:
        # Too small to change a logit, and not zero: a graph optimiser leaves out what adds zero,
        # and without a bias the rearranged weights are not kept (see `constants`).
        output = found["output"]
        found["bias"] = np.full(output.shape[-1], 1e-30, output.dtype)
    return found


def _named(spec: tf.TensorSpec, name: str) -> tf.TensorSpec:
    return tf.TensorSpec(spec.shape, spec.dtype, name)
