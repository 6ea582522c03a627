"""Convolutional sequence to sequence learning (ConvS2S). https://arxiv.org/abs/1705.03122

Gated convolutions instead of recurrence or self-attention, learned positions, and attention in
every layer of the decoder, to the encoder's output and its input at once. Sums of two are scaled by
`sqrt(0.5)`, so that activations keep their variance through many layers.
"""

import dataclasses
import math
import re
from typing import Any

import keras
from keras import ops

from tflm.layers.dropout import Dropout
from tflm.layers.embeddings import TokenEmbedding
from tflm.layers.gated_convolution import GatedConvolution, NormalizedDense
from tflm.layers.multiplicative_attention import read_memory
from tflm.layers.positions import LearnedPositions
from tflm.models.base import EncoderDecoder

_HALF = math.sqrt(0.5)


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes and rates; the defaults are the paper's model for WMT'16 English-Romanian.

    Layers are written "count x units x kernel width", from the first to the last, with blanks
    between: "9x512x3 2x1024x1". `target_vocab_size` is `None` where source and target share one
    vocabulary and, with it, one embedding matrix. `max_length` bounds positions, which are learned.
    """

    vocab_size: int = 40000
    target_vocab_size: int | None = None
    embedding_dim: int = 512
    encoder_layers: str = "20x512x3"
    decoder_layers: str = "20x512x3"
    max_length: int = 1024
    dropout: float = 0.1
    tie_output: bool = False

    def __post_init__(self) -> None:
        for units, width in layer_sizes(self.encoder_layers):
            if width % 2 == 0:
                raise ValueError(
                    "`encoder_layers` must have odd kernel widths, which have a middle. "
                    f"Received: {units}x{width} in encoder_layers={self.encoder_layers!r}"
                )
        layer_sizes(self.decoder_layers)


def layer_sizes(text: str) -> list[tuple[int, int]]:
    """Units and kernel width of each layer: "2x512x3 1x1024x1" -> (512, 3), (512, 3), (1024, 1).

    Raises:
        ValueError: `text` is something else.
    """
    groups = [re.fullmatch(r"([1-9]\d*)x([1-9]\d*)x([1-9]\d*)", part) for part in text.split()]
    if not groups or None in groups:
        raise ValueError(
            "Layers must be written as count x units x kernel width, '10x512x3 2x1024x1' say. "
            f"Received: {text!r}"
        )
    numbers = [tuple(map(int, group.groups())) for group in groups if group]
    return [(units, width) for count, units, width in numbers for _ in range(count)]


class ConvS2S(EncoderDecoder):
    """Convolutional encoder-decoder.

    Args:
        config: a `Config`.

    Example:
        >>> model = ConvS2S(Config(vocab_size=8000, embedding_dim=256))
    """

    Config = Config
    PRESETS = {
        # Sizes for some hundred thousand sentence pairs: https://arxiv.org/abs/1711.04956 (Edunov
        # et al. 2018), section 4.1, on IWSLT'14.
        "small": Config(
            embedding_dim=256, encoder_layers="4x256x3", decoder_layers="3x256x3", dropout=0.2
        ),
        # Section 4.2, English-Romanian, English-German and English-French; BLEU in Table 1.
        "wmt_en_ro": Config(),
        "wmt_en_de": Config(
            encoder_layers="10x512x3 3x768x3 2x2048x1", decoder_layers="10x512x3 3x768x3 2x2048x1"
        ),
        "wmt_en_fr": Config(
            encoder_layers="5x512x3 4x768x3 3x1024x3 2x2048x1 1x4096x1",
            decoder_layers="5x512x3 4x768x3 3x1024x3 2x2048x1 1x4096x1",
        ),
    }

    def __init__(self, config: Any, **kwargs: Any):
        super().__init__(config, **kwargs)
        c, policy = config, self.dtype_policy
        target_vocab_size = c.target_vocab_size or c.vocab_size

        def embedding(vocab_size: int, name: str) -> TokenEmbedding:
            # Small vectors: a gate that is half open keeps the variance (section 3.5).
            return TokenEmbedding(vocab_size, c.embedding_dim, False, dtype=policy, name=name)

        def positions(name: str) -> LearnedPositions:
            return LearnedPositions(c.max_length, c.embedding_dim, dtype=policy, name=name)

        def block(units: int, width: int, attends: bool, name: str) -> _Block:
            sizes = (units, width, c.embedding_dim if attends else None, c.dropout)
            return _Block(*sizes, dtype=policy, name=name)

        def dense(units: int, name: str) -> NormalizedDense:
            return NormalizedDense(units, 1.0 - c.dropout, dtype=policy, name=name)

        self.embedding = self.target_embedding = embedding(c.vocab_size, "embedding")
        if c.target_vocab_size is not None:
            self.target_embedding = embedding(target_vocab_size, "target_embedding")
        self.output_embedding = self.target_embedding
        if not c.tie_output:
            self.output_embedding = embedding(target_vocab_size, "output_embedding")
        self.encoder_positions = positions("encoder_positions")
        self.decoder_positions = positions("decoder_positions")
        encoder, decoder = layer_sizes(c.encoder_layers), layer_sizes(c.decoder_layers)
        self.encoder_blocks = [
            block(*sizes, False, f"encoder_block_{i}") for i, sizes in enumerate(encoder)
        ]
        self.decoder_blocks = [
            block(*sizes, True, f"decoder_block_{i}") for i, sizes in enumerate(decoder)
        ]
        self.encoder_in = dense(encoder[0][0], "encoder_in")
        self.encoder_out = dense(c.embedding_dim, "encoder_out")
        self.decoder_in = dense(decoder[0][0], "decoder_in")
        self.decoder_out = dense(c.embedding_dim, "decoder_out")
        self.drop = Dropout(c.dropout, dtype=policy)

    def build(self, *_: Any) -> None:
        for part in (self.embedding, self.target_embedding, self.output_embedding):
            if not part.built:
                part.build(None)
        for side in ("encoder", "decoder"):
            getattr(self, f"{side}_positions").build(None)
            width = self.config.embedding_dim
            getattr(self, f"{side}_in").build((None, None, width))
            width = getattr(self, f"{side}_in").units
            for block in getattr(self, f"{side}_blocks"):
                block.build((None, None, width))
                width = block.units
            getattr(self, f"{side}_out").build((None, None, width))
        self.built = True

    def _embed(
        self, token_ids: Any, embedding: Any, positions: Any, index: Any, training: bool | None
    ) -> Any:
        where = index + ops.arange(ops.shape(token_ids)[1], dtype="int32")  # (T,)
        return self.drop(embedding(token_ids) + positions(where), training=training)

    def encode(self, token_ids: Any, padding_mask: Any, training: bool | None = None) -> Any:
        """Source token ids `(B, S)` and their boolean mask -> memory `(B, S, 2 E)`.

        The first half is the encoder's output `z`, which is searched, the second `z` plus the
        input, which is read (equation 2).
        """
        words = self._embed(token_ids, self.embedding, self.encoder_positions, 0, training)
        real = ops.cast(padding_mask, words.dtype)[..., None]  # (B, S, 1)
        x = self.encoder_in(words)
        for block in self.encoder_blocks:
            sides = block.kernel_size // 2
            padded = ops.pad(x * real, ((0, 0), (sides, sides), (0, 0)))
            x = block(x, padded, training=training)
        z = self.encoder_out(x)  # (B, S, E)
        # Every attention of the decoder sends its gradient here (section 3.5).
        share = 1.0 / (2.0 * len(self.decoder_blocks))
        z = share * z + (1.0 - share) * ops.stop_gradient(z)
        return ops.concatenate([z, (z + words) * _HALF], axis=-1)

    def start(
        self,
        memory: Any,
        padding_mask: Any,
        max_length: int | None = None,
        token_ids: Any = None,
    ) -> dict:
        """Windows of zeros before the first word, and the kernels of the decoder, normalised once.

        Raises:
            ValueError: `max_length` is more than the positions reach.
        """
        limit = self.config.max_length
        if max_length is not None and max_length > limit:
            raise ValueError(
                f"`max_length` must be at most the config's {limit}. "
                f"Received: max_length={max_length}"
            )
        z, value = ops.split(memory, 2, axis=-1)
        length = ops.sum(ops.cast(padding_mask, "float32"), axis=1)[:, None, None]  # (B, 1, 1)
        rows = ops.shape(memory)[0]
        return {
            "step": [block.empty_window(rows) for block in self.decoder_blocks],
            "memory": {
                "key": z,  # (B, S, E)
                # The average of `m` vectors, times `sqrt(m)`, keeps their variance (section 3.4).
                "value": value * ops.cast(ops.sqrt(length), value.dtype),  # (B, S, E)
                "padding_mask": padding_mask,
            },
            "weights": {
                "in": self.decoder_in.normalized(),
                "blocks": [block.normalized() for block in self.decoder_blocks],
                "out": self.decoder_out.normalized(),
                "output": self.output_embedding.output_weights(),  # (E, V)
            },
        }

    def decode(
        self, token_ids: Any, cache: dict, index: Any = 0, training: bool | None = None
    ) -> tuple[Any, dict]:
        """Target token ids `(N, T)` at the positions `index …` -> logits `(N, T, V)`, cache."""
        step, weights = cache["step"], cache["weights"]
        words = self._embed(
            token_ids, self.target_embedding, self.decoder_positions, index, training
        )
        x = self.decoder_in(words, weights["in"])
        windows = []
        for i, block in enumerate(self.decoder_blocks):
            before = block.empty_window(ops.shape(x)[0]) if step is None else step[i]
            padded = ops.concatenate([before, x], axis=1)  # (N, k - 1 + T, D)
            windows.append(padded[:, ops.shape(x)[1] :])
            x = block(x, padded, words, cache["memory"], weights["blocks"][i], training=training)
        x = self.drop(self.decoder_out(x, weights["out"]), training=training)  # (N, T, E)
        logits = self.output_embedding.logits(x, weights["output"])  # (N, T, V)
        return logits, {**cache, "step": None if step is None else windows}


class _Block(keras.layers.Layer):
    """A gated convolution, in the decoder attention to the source, and a residual connection.

    Args:
        units: `U`.
        kernel_size: `k`.
        attention_dim: `E`, width of words and memory; `None` where nothing is attended to.
        dropout: rate applied to the input of the convolution.

    Call arguments:
        x: `(N, T, D)`.
        padded: `x` and its `k - 1` neighbours, `(N, T + k - 1, D)`.
        words: the target's embeddings, `(N, T, E)`.
        memory: `key` and `value` `(B, S, E)`, `padding_mask` `(B, S)`.
        kernels: what `normalized` returned, where it is at hand.

    Returns:
        `(N, T, U)`.
    """

    def __init__(
        self,
        units: int,
        kernel_size: int,
        attention_dim: int | None = None,
        dropout: float = 0.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.units = units
        self.kernel_size = kernel_size
        self.attention_dim = attention_dim
        kept, policy = 1.0 - dropout, self.dtype_policy
        self.convolution = GatedConvolution(
            units, kernel_size, 4.0 * kept, dtype=policy, name="convolution"
        )
        self.shortcut = NormalizedDense(units, kept, dtype=policy, name="shortcut")
        self.query: Any = None
        self.context: Any = None
        if attention_dim is not None:
            self.query = NormalizedDense(attention_dim, 1.0, dtype=policy, name="query")
            self.context = NormalizedDense(units, 1.0, dtype=policy, name="context")
        self.drop = Dropout(dropout, dtype=policy)

    def build(self, input_shape: Any) -> None:
        self.input_dim = input_shape[-1]
        self.convolution.build(input_shape)
        if self.input_dim != self.units:
            self.shortcut.build(input_shape)
        if self.query is not None:
            self.query.build((None, None, self.units))
            self.context.build((None, None, self.attention_dim))

    def normalized(self) -> dict[str, Any]:
        """The kernels in the compute dtype."""
        parts = {"convolution": self.convolution, "query": self.query, "context": self.context}
        if self.input_dim != self.units:
            parts["shortcut"] = self.shortcut
        return {name: part.normalized() for name, part in parts.items() if part is not None}

    def empty_window(self, rows: Any) -> Any:
        """The neighbours of the first position: zeros, `(N, k - 1, D)`."""
        return ops.zeros((rows, self.kernel_size - 1, self.input_dim), self.compute_dtype)

    def call(
        self,
        x: Any,
        padded: Any,
        words: Any = None,
        memory: dict[str, Any] | None = None,
        kernels: dict[str, Any] | None = None,
        training: bool | None = None,
    ) -> Any:
        kernels = self.normalized() if kernels is None else kernels
        h = self.convolution(self.drop(padded, training=training), kernels["convolution"])
        if memory is not None:
            query = (self.query(h, kernels["query"]) + words) * _HALF  # equation 1
            context = self._attend(query, memory)  # (N, T, E)
            h = (self.context(context, kernels["context"]) + h) * _HALF
        if self.input_dim != self.units:
            x = self.shortcut(x, kernels["shortcut"])
        return (h + x) * _HALF

    def _attend(self, query: Any, memory: dict[str, Any]) -> Any:
        """Row `r` of the queries `(N, T, E)` reads memory row `r // (N / B)`: `(N, T, E)`."""
        key = memory["key"]
        queries = ops.reshape(query, (ops.shape(key)[0], -1, self.attention_dim))
        scores = ops.matmul(queries, ops.swapaxes(key, 1, 2))  # (B, n * T, S)
        context = read_memory(scores, memory["value"], memory["padding_mask"])
        return ops.reshape(context, ops.shape(query))
