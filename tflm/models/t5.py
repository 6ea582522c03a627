"""T5: every task of text is text to text. https://arxiv.org/abs/1910.10683

Raffel et al. 2020, section 2.1: pre-norm blocks without biases or position vectors; instead, every
head adds to its scores a scalar for the distance to the key, the same in all blocks. Scores are not
scaled; the initial values are smaller instead. Version 1.1 (Shazeer 2020,
https://arxiv.org/abs/2002.05202; Roberts et al. 2022, https://arxiv.org/abs/2203.17189) gates its
feed-forward networks and has output weights of its own. The decoder starts with padding.
"""

import dataclasses
from typing import Any, ClassVar

import keras
from keras import ops

from tflm.layers.dropout import Dropout
from tflm.layers.embeddings import TokenEmbedding
from tflm.layers.normalization import RMSNormalization
from tflm.layers.relative_bias import RelativeBias
from tflm.models.transformer import TransformerEncoderDecoder


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes and rates of a T5; the defaults are those of the small first version.

    `num_buckets` and `max_distance` are of the relative positions. The output weights may be the
    embeddings, and the decoder's output may be divided by `sqrt(D)`; the first version has both,
    1.1 neither.
    """

    vocab_size: int = 32128
    hidden_dim: int = 512
    ffn_dim: int = 2048
    num_heads: int = 8
    head_dim: int = 64
    num_encoder_layers: int = 6
    num_decoder_layers: int = 6
    num_buckets: int = 32
    max_distance: int = 128
    dropout: float = 0.1
    activation: str = "relu"
    gated: bool = False
    tie_output: bool = True
    scale_output: bool = True
    norm_epsilon: float = 1e-6


def _first(
    hidden_dim: int, ffn_dim: int, num_heads: int, layers: int, head_dim: int = 64
) -> Config:
    return Config(
        hidden_dim=hidden_dim,
        ffn_dim=ffn_dim,
        num_heads=num_heads,
        head_dim=head_dim,
        num_encoder_layers=layers,
        num_decoder_layers=layers,
    )


def _v1_1(hidden_dim: int, ffn_dim: int, num_heads: int, layers: int) -> Config:
    return dataclasses.replace(
        _first(hidden_dim, ffn_dim, num_heads, layers),
        activation="gelu_tanh",
        gated=True,
        tie_output=False,
        scale_output=False,
    )


_V1_1 = {
    "small": _v1_1(512, 1024, 6, 8),
    "base": _v1_1(768, 2048, 12, 12),
    "large": _v1_1(1024, 2816, 16, 24),
    "xl": _v1_1(2048, 5120, 32, 24),
    "xxl": _v1_1(4096, 10240, 64, 24),
}


class _Sides(keras.initializers.Initializer):
    """Normal values, of another width for each of several dense layers side by side."""

    def __init__(self, *stddevs: float):
        self.stddevs = stddevs

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        rows, columns = shape[0], shape[1] // len(self.stddevs)
        parts = [
            keras.random.normal((rows, columns), stddev=stddev, dtype=dtype)
            for stddev in self.stddevs
        ]
        return ops.concatenate(parts, axis=1)


class T5(TransformerEncoderDecoder):
    """T5, of the first version and of 1.1; Flan-T5 and mT5 are 1.1 trained otherwise.

    Args:
        config: a `Config`.

    Example:
        >>> model = T5(Config(vocab_size=8000, num_encoder_layers=2, num_decoder_layers=2))
    """

    TARGET_START: ClassVar[tuple[str, ...]] = ("pad",)

    Config = Config
    PRESETS = {
        # Section 3.7, "Model size": small, base, large, 3B and 11B.
        "small": Config(),
        "base": _first(768, 3072, 12, 12),
        "large": _first(1024, 4096, 16, 24),
        "3b": _first(1024, 16384, 32, 24, head_dim=128),
        "11b": _first(1024, 65536, 128, 24, head_dim=128),
        # https://github.com/google-research/text-to-text-transfer-transformer, file
        # released_checkpoints.md, "T5.1.1".
        **{f"v1_1_{size}": config for size, config in _V1_1.items()},
        # Chung et al. 2022, https://arxiv.org/abs/2210.11416, table 2: trained from 1.1.
        **{f"flan_{size}": config for size, config in _V1_1.items()},
        # Xue et al. 2021, https://arxiv.org/abs/2010.11934, section 3.2: 1.1 with 250,000 pieces.
        **{
            f"mt5_{size}": dataclasses.replace(config, vocab_size=250112)
            for size, config in _V1_1.items()
        },
    }

    def __init__(self, config: Any, **kwargs: Any):
        super().__init__(config, **kwargs)
        c, policy = config, self.dtype_policy
        # Mesh TensorFlow's first values: vectors of unit scale, and logits too.
        self.embedding = TokenEmbedding(
            c.vocab_size, c.hidden_dim, False, stddev=1.0, dtype=policy, name="embedding"
        )
        self.target_embedding = self.output_embedding = self.embedding
        if not c.tie_output:
            self.output_embedding = TokenEmbedding(
                c.vocab_size, c.hidden_dim, dtype=policy, name="output_embedding"
            )
        self.encoder_bias = self._bias(True, "encoder_bias")
        self.decoder_bias = self._bias(False, "decoder_bias")
        self.make_blocks(
            hidden_dim=c.hidden_dim,
            num_heads=c.num_heads,
            ffn_dim=c.ffn_dim,
            dropout=c.dropout,
            attention_dropout=c.dropout,
            ffn_dropout=c.dropout,
            activation=c.activation,
            gated=c.gated,
            pre_norm=True,
            norm="rms",
            norm_epsilon=c.norm_epsilon,
            use_bias=False,
            head_dim=c.head_dim,
            attention_scale=1.0,
        )
        self._set_first_values()
        self.encoder_norm = self._norm("encoder_norm")
        self.decoder_norm = self._norm("decoder_norm")
        self.drop = Dropout(c.dropout, dtype=policy)

    def _bias(self, bidirectional: bool, name: str) -> RelativeBias:
        c = self.config
        return RelativeBias(
            c.num_heads,
            c.num_buckets,
            c.max_distance,
            bidirectional,
            stddev=c.hidden_dim**-0.5,
            dtype=self.dtype_policy,
            name=name,
        )

    def _norm(self, name: str) -> RMSNormalization:
        c = self.config
        return RMSNormalization(c.hidden_dim, c.norm_epsilon, dtype=self.dtype_policy, name=name)

    def _set_first_values(self) -> None:
        """Queries that are smaller by what the scores are not divided by."""
        one = self.config.hidden_dim**-0.5
        query = one * self.config.head_dim**-0.5
        for block in (*self.encoder_blocks, *self.decoder_blocks):
            block.attention.query_key_value.kernel_initializer = _Sides(query, one, one)
            if block.cross_attention is not None:
                block.cross_attention.query.kernel_initializer = _Sides(query)

    @property
    def longest(self) -> int | None:
        """None: distances have no last one."""
        return None

    def embed_source(self, token_ids: Any, training: bool | None) -> Any:
        """Source token ids `(B, S)` -> vectors `(B, S, D)`."""
        return self.drop(self.embedding(token_ids), training=training)

    def embed_target(self, token_ids: Any, index: Any, training: bool | None) -> Any:
        """Target token ids `(N, T)` -> vectors `(N, T, D)`, wherever they stand."""
        return self.drop(self.embedding(token_ids), training=training)

    def finish(self, x: Any, norm: Any, training: bool | None) -> Any:
        """What leaves the last block, normalised: `(B, T, D)`."""
        return self.drop(norm(x), training=training)

    def output_weights(self) -> Any:
        """What multiplies the decoder's output to give logits: `(D, V)`."""
        weights = super().output_weights()
        return weights * self.config.hidden_dim**-0.5 if self.config.scale_output else weights
