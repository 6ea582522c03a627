"""The Transformer's encoder, pre-norm, for small data without pretraining.

https://arxiv.org/abs/2002.04745 (Xiong et al. 2020): normalised before each sub-layer and once more
after the last block, it trains without the care that BERT's post-norm needs. Positions are
sinusoids (Vaswani et al. 2017), so no length bounds it.
"""

import dataclasses
from typing import Any, ClassVar

import keras
from keras import ops

from tflm.layers.blocks import TransformerBlock
from tflm.layers.embeddings import TokenEmbedding
from tflm.layers.masks import key_padding_mask
from tflm.layers.normalization import LayerNormalization
from tflm.layers.positions import sinusoidal_positions
from tflm.models.base import Encoder


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes and rates; `dropout` is applied to embeddings and after each sub-layer."""

    vocab_size: int = 8000
    hidden_dim: int = 256
    ffn_dim: int = 1024
    num_heads: int = 4
    num_layers: int = 4
    dropout: float = 0.1
    attention_dropout: float = 0.0
    activation: str = "gelu"


class TransformerEncoder(Encoder):
    """A stack of pre-norm blocks.

    Args:
        config: a `Config`.

    Example:
        >>> model = TransformerEncoder(Config(hidden_dim=128, ffn_dim=512, num_layers=2))
    """

    POOLING: ClassVar[str] = "mean"

    Config = Config
    PRESETS = {
        # The sizes of Turc et al. 2019, https://arxiv.org/abs/1908.08962, table 1, where
        # pretraining has taught less: "tiny" and "mini".
        "tiny": Config(hidden_dim=128, ffn_dim=512, num_heads=2, num_layers=2),
        "mini": Config(),
    }

    def __init__(self, config: Any, **kwargs: Any):
        super().__init__(config, **kwargs)
        policy, dim = self.dtype_policy, config.hidden_dim
        self.embedding = TokenEmbedding(config.vocab_size, dim, dtype=policy, name="embedding")
        self.blocks = [
            TransformerBlock(
                dim,
                config.num_heads,
                config.ffn_dim,
                dropout=config.dropout,
                attention_dropout=config.attention_dropout,
                activation=config.activation,
                pre_norm=True,
                dtype=policy,
                name=f"block_{i}",
            )
            for i in range(config.num_layers)
        ]
        self.norm = LayerNormalization(dim, dtype=policy, name="norm")
        self.drop = keras.layers.Dropout(config.dropout, dtype=policy)

    def build(self, *_: Any) -> None:
        for layer in self.layers:
            layer.build((None, None, self.config.hidden_dim))
        self.built = True

    def call(self, inputs: dict[str, Any], training: bool | None = None) -> Any:
        """Hidden states `(B, T, D)`.

        Args:
            inputs: `token_ids` `(B, T)`, `padding_mask` `(B, T)`.
            training: whether dropout is on.
        """
        x = self.embedding(inputs["token_ids"])  # (B, T, D)
        positions = sinusoidal_positions(ops.shape(x)[1], self.config.hidden_dim)  # (T, D)
        x = self.drop(x + ops.cast(positions, x.dtype)[None], training=training)
        attention_mask = key_padding_mask(inputs["padding_mask"])  # (B, 1, 1, T)
        for block in self.blocks:
            x, _ = block(x, attention_mask=attention_mask, training=training)
        return self.norm(x)
