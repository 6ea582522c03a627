"""An encoder-decoder between its tokenizers: what it reads of texts, and how it is decoded.

`B` batch, `S` source length, `P` tokens that a target starts with, `T` target length, `n`
hypotheses of a text.
"""

import copy
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
import tensorflow as tf

from tflm.export.served_module import ServedModule
from tflm.export.sharing import RAGGED_IDS, Shared, SharedStep
from tflm.export.token_ids import encode_texts, padding_id, repeated, special_ids
from tflm.export.token_strings import TokenStrings
from tflm.generation import Beam, Generated, Greedy, Limits, Sample, generate


class EncoderDecoder(Protocol):
    """What this module needs of a model.

    A special token is an id, or the name of one of a tokenizer's: "bos" stands for its `bos_id`.
    """

    weights: Any
    SOURCE_START: Sequence[str | int]
    SOURCE_END: Sequence[str | int]
    TARGET_START: Sequence[str | int]
    NEVER_WRITTEN: Sequence[str | int]

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


class Source(NamedTuple):
    """What is read of some texts.

    Attributes:
        token_ids, padding_mask: `(B, S)`.
        cut: which texts were too long, `(B,)`.
        has_text: which are more than special tokens, `(B,)`: nothing to read is nothing to write.
    """

    token_ids: Any
    padding_mask: Any
    cut: Any
    has_text: Any


class EncoderDecoderModule(ServedModule):
    """An encoder-decoder and its tokenizers; a subclass has what is asked of them.

    Args:
        model: an encoder-decoder.
        source_tokenizer: tokenizer of what is read.
        target_tokenizer: tokenizer of what is written.
        strategy: `Beam`, `Greedy` or `Sample`.
        limits: length limits of what is written, in tokens.
        max_source_length: tokens read of a text, special tokens included; what is longer is cut
            and reported as `truncated`.
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
        super().__init__(model.weights, freeze)
        self._output_weights = _output_weights(model) if freeze else {}
        self._make_weights = functools.partial(_decoding_weights, model)
        self._encode: Any = functools.partial(model.encode, training=False)
        self._start = model.start
        self._model_decode = functools.partial(model.decode, training=False)
        self._encodes = getattr(model, "ENCODES", False)
        self._explains = getattr(model, "EXPLAINS", False)
        self.source_tokenizer = source_tokenizer
        self.target_tokenizer = target_tokenizer
        self.strategy = strategy
        self.limits = limits
        self.max_source_length = max_source_length
        self.max_length_ratio = max_length_ratio
        self.extra_length = extra_length
        self.seed = seed
        self._strings_of = functools.cache(TokenStrings)
        self._source_start = special_ids(source_tokenizer, model.SOURCE_START)
        self._source_end = special_ids(source_tokenizer, model.SOURCE_END)
        self._target_start = special_ids(target_tokenizer, model.TARGET_START)
        self._never_written = special_ids(target_tokenizer, model.NEVER_WRITTEN)

    def _read(self, texts: Any) -> Source:
        token_ids, padding_mask, cut = encode_texts(
            self.source_tokenizer,
            texts,
            self.max_source_length,
            self._source_start,
            self._source_end,
        )
        frame = len(self._source_start) + len(self._source_end)
        length = tf.reduce_sum(tf.cast(padding_mask, tf.int32), axis=1)  # (B,)
        return Source(token_ids, padding_mask, cut, length > frame)

    def _begin(self, token_ids: Any, padding_mask: Any) -> dict[str, Any]:
        """The cache before the first token."""
        memory = self._encode(token_ids, padding_mask)  # (B, S, D)
        most = self.limits.max_length + len(self._target_start) - 1
        return self._with_weights(self._start(memory, padding_mask, most, token_ids))

    def _generate(
        self,
        source: Source,
        cache: dict[str, Any],
        strategy: Any,
        max_lengths: Any = None,
        seed: Any = None,
    ) -> Generated:
        prompt = repeated(self._target_start, tf.shape(source.token_ids)[0])  # (B, P)
        return generate(
            self._decode,
            cache,
            prompt,
            strategy=strategy,
            limits=self.limits,
            eos_id=self.target_tokenizer.eos_id,
            pad_id=padding_id(self.target_tokenizer),
            seed=self.seed if seed is None else seed,
            max_lengths=self._max_lengths(source.padding_mask, max_lengths),
            blocked_ids=self._never_written,
            num_forced=len(self._target_start) - 1,
        )

    def _texts(self, source: Source, generated: Generated) -> dict[str, Any]:
        """What `hypotheses` returns."""
        shape = tf.shape(generated.token_ids)  # (B, n, L)
        ragged: Any = tf.RaggedTensor  # its constructors are unknown to type checkers
        flat = ragged.from_tensor(
            tf.reshape(generated.token_ids, [shape[0] * shape[1], shape[2]]),
            lengths=tf.reshape(generated.lengths, [-1]),
        )
        written = tf.reshape(self._detokenize(flat), shape[:2])  # (B, n)
        something = source.has_text[:, None]  # (B, 1)
        unfinished = tf.logical_and(source.has_text, tf.logical_not(generated.finished[:, 0]))
        return {
            "text": tf.where(something, written, ""),
            "score": tf.where(something, generated.scores, 0.0),
            "truncated": tf.logical_or(source.cut, unfinished),
        }

    def _detokenize(self, ids: Any) -> Any:
        """Ragged ids `(N, None)` -> strings `(N,)`."""
        texts = self.target_tokenizer.detokenize(ids)
        return tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8")

    def _decode(self, token_ids: Any, cache: dict, index: Any = 0) -> tuple[Any, dict]:
        """The model's step, its weights read as constants where they are frozen."""
        if self._constants is None:
            return self._model_decode(token_ids, cache, index)
        output = {
            name: self._constants.named(name, value) for name, value in self._output_weights.items()
        }
        with self._constants.scope():
            logits, after = self._model_decode(token_ids, {**cache, "weights": output}, index)
        return logits, {**after, "weights": cache["weights"]}

    def _max_lengths(self, padding_mask: Any, asked: Any = None) -> Any:
        """The most tokens each text may be answered with, int32 `(B,)`, or `None`."""
        if self.max_length_ratio is None:
            return asked
        read = tf.reduce_sum(tf.cast(padding_mask, tf.float32), axis=1)  # (B,)
        lengths = tf.cast(read * self.max_length_ratio, tf.int32) + self.extra_length
        return lengths if asked is None else tf.minimum(lengths, asked)

    def _forced(self, token_ids: Any, cache: dict[str, Any]) -> tuple[Any, Any]:
        """A whole target in one step: logits `(B, T, V)`, and attention `(B, T, S)` or `None`."""
        if self._explains:
            cache = {**cache, "step": None, "with_attention": True}
        logits, after = self._decode(token_ids, {**cache, "rows_per_source": 1}, 0)
        skipped = len(self._target_start) - 1
        attention = after.get("attention")
        return logits[:, skipped:], None if attention is None else attention[:, skipped:]

    def _decoding_weights(self) -> Callable[[], dict[str, Any]] | None:
        return self._make_weights() if self._constants is None else None

    def _sharing(self) -> Self:
        twin: Any = copy.copy(self)
        weights = self._weights()
        two = [tf.TensorSpec([None, None], kind) for kind in (tf.int32, tf.bool)]
        twin._read = Shared(self._read, [tf.TensorSpec([None], tf.string)])
        twin._detokenize = Shared(self._detokenize, [RAGGED_IDS])
        twin._encode = Shared(self._encode, two, weights)
        twin._begin = Shared(functools.partial(type(self)._begin, twin), two, weights)
        twin._decode = SharedStep(self._decode, weights)
        return twin


def _decoding_weights(model: EncoderDecoder) -> Callable[[], dict[str, Any]] | None:
    """What gives the weights of a cache, or `None` if it has none."""
    one = tf.ones([1, 1], tf.int32)
    mask = tf.cast(one, tf.bool)
    nothing = tf.nest.map_structure(tf.zeros_like, model.encode(one, mask, training=False))

    def make() -> dict[str, Any]:
        return model.start(nothing, mask, token_ids=one).get("weights", {})

    return make if make() else None


def _output_weights(model: EncoderDecoder) -> dict[str, Any]:
    """The weights of the logits as NumPy arrays, by name, with a bias."""
    make = _decoding_weights(model)
    found = {name: value.numpy() for name, value in make().items()} if make else {}
    if "output" in found and "bias" not in found:
        # Too small to change a logit, and not zero: a graph optimiser leaves out what adds zero,
        # and without a bias the rearranged weights are not kept (see `constants`).
        output = found["output"]
        found["bias"] = np.full(output.shape[-1], 1e-30, output.dtype)
    return found
