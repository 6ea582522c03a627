"""The Transformer's encoder, pre-norm, for small data without pretraining.

https://arxiv.org/abs/2002.04745 (Xiong et al. 2020): normalised before each sub-layer and once more
after the last block, it trains without the care that BERT's post-norm needs. Positions are
sinusoids (Vaswani et al. 2017), so no length bounds it, or rotary
(https://arxiv.org/abs/2104.09864, Su et al. 2021): a score knows then from the first update on how
far two tokens are apart, and masked words are learned from their neighbours many times sooner.
"""

import dataclasses
from typing import Any, ClassVar

from keras import ops

from tflm.layers.blocks import TransformerBlock
from tflm.layers.dropout import Dropout
from tflm.layers.embeddings import TokenEmbedding
from tflm.layers.masks import key_padding_mask
from tflm.layers.normalization import LayerNormalization
from tflm.layers.positions import rotary_tables, sinusoidal_positions
from tflm.models.base import Encoder

POSITIONS = ("sinusoidal", "rotary")


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes and rates; `dropout` is applied to embeddings and after each sub-layer.

    `positions` is "sinusoidal", vectors added to those of the tokens, or "rotary", queries and keys
    turned by their place.
    """

    vocab_size: int = 8000
    hidden_dim: int = 256
    ffn_dim: int = 1024
    num_heads: int = 4
    num_layers: int = 4
    dropout: float = 0.1
    attention_dropout: float = 0.0
    activation: str = "gelu"
    positions: str = "sinusoidal"

    def __post_init__(self) -> None:
        if self.positions not in POSITIONS:
            raise ValueError(
                f"`positions` must be one of {list(POSITIONS)}. "
                f"Received: positions={self.positions!r}"
            )
        if self.positions == "rotary" and self.hidden_dim % (2 * self.num_heads):
            raise ValueError(
                "`hidden_dim` must be a multiple of twice `num_heads` where `positions` is "
                f"'rotary'. Received: hidden_dim={self.hidden_dim}, num_heads={self.num_heads}"
            )


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
        "mini_rotary": Config(positions="rotary"),
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
        self.drop = Dropout(config.dropout, dtype=policy)

    def frequencies(self) -> Any:
        """Radians per position of each pair of a head's dimensions, `(K / 2,)`; section 3.2.2."""
        pairs = self.config.hidden_dim // self.config.num_heads // 2
        return 10000.0 ** (-ops.arange(pairs, dtype="float32") / pairs)

    def call(self, inputs: dict[str, Any], training: bool | None = None) -> Any:
        """Hidden states `(B, T, D)`.

        Args:
            inputs: `token_ids` `(B, T)`, `padding_mask` `(B, T)`.
            training: whether dropout is on.
        """
        x, rotary = self.embedding(inputs["token_ids"]), None  # (B, T, D)
        length = ops.shape(x)[1]
        if self.config.positions == "rotary":
            rotary = rotary_tables(ops.arange(length)[None], self.frequencies())
        else:
            positions = sinusoidal_positions(length, self.config.hidden_dim)  # (T, D)
            x = x + ops.cast(positions, x.dtype)[None]
        x = self.drop(x, training=training)
        attention_mask = key_padding_mask(inputs["padding_mask"])  # (B, 1, 1, T)
        for block in self.blocks:
            x, _ = block(x, attention_mask=attention_mask, rotary=rotary, training=training)
        return self.norm(x)
