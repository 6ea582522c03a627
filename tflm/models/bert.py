"""BERT: an encoder that reads in both directions. https://arxiv.org/abs/1810.04805

The Transformer's encoder, post-norm, with learned positions and token types (segments); the sum of
the embeddings is normalised. A pooler on the first token's vector is trained by next-sentence
prediction and read by classifiers. DistilBERT and RoBERTa are the same network with parts left out.
"""

import dataclasses
from typing import Any, ClassVar

import keras
from keras import ops

from tflm.layers.blocks import TransformerBlock
from tflm.layers.dropout import Dropout
from tflm.layers.embeddings import TokenEmbedding
from tflm.layers.masks import key_padding_mask
from tflm.layers.normalization import LayerNormalization
from tflm.layers.positions import LearnedPositions
from tflm.models.base import Encoder


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes and rates of a BERT; the defaults are BERT-base's.

    `num_segments` is the number of token types; `pooler` says whether there is one.
    """

    vocab_size: int = 30522
    hidden_dim: int = 768
    ffn_dim: int = 3072
    num_heads: int = 12
    num_layers: int = 12
    max_length: int = 512
    num_segments: int = 2
    dropout: float = 0.1
    attention_dropout: float = 0.1
    activation: str = "gelu"
    norm_epsilon: float = 1e-12
    pooler: bool = True


class BertEncoder(Encoder):
    """The network of BERT, DistilBERT and RoBERTa; their configs say which parts there are.

    Args:
        config: a `Config`, or another dataclass with its fields.
    """

    FIRST_POSITION: ClassVar[int] = 0  # row of the position table that the first token has

    def __init__(self, config: Any, **kwargs: Any):
        super().__init__(config, **kwargs)
        policy, dim = self.dtype_policy, config.hidden_dim
        self.embedding = TokenEmbedding(
            config.vocab_size, dim, scaled=False, dtype=policy, name="embedding"
        )
        self.positions = LearnedPositions(
            config.max_length + self.FIRST_POSITION, dim, dtype=policy, name="positions"
        )
        self.segment_embedding = None
        if config.num_segments:
            self.segment_embedding = TokenEmbedding(
                config.num_segments, dim, scaled=False, dtype=policy, name="segment_embedding"
            )
        self.embedding_norm = LayerNormalization(
            dim, config.norm_epsilon, dtype=policy, name="embedding_norm"
        )
        self.blocks = [
            TransformerBlock(
                dim,
                config.num_heads,
                config.ffn_dim,
                dropout=config.dropout,
                attention_dropout=config.attention_dropout,
                activation=config.activation,
                norm_epsilon=config.norm_epsilon,
                dtype=policy,
                name=f"block_{i}",
            )
            for i in range(config.num_layers)
        ]
        self.pooler = None
        if config.pooler:
            self.pooler = keras.layers.Dense(dim, "tanh", dtype=policy, name="pooler")
        self.drop = Dropout(config.dropout, dtype=policy)

    def call(self, inputs: dict[str, Any], training: bool | None = None) -> Any:
        """Hidden states `(B, T, D)`.

        Args:
            inputs: `token_ids` `(B, T)`, `padding_mask` `(B, T)`, and where there are segments
                `segment_ids` `(B, T)`, all 0 by default. `T` is at most the config's `max_length`.
            training: whether dropout is on.

        Raises:
            ValueError: the texts are longer than `max_length`.
        """
        token_ids = inputs["token_ids"]
        length = ops.shape(token_ids)[1]
        if isinstance(length, int) and length > self.config.max_length:
            raise ValueError(
                f"`token_ids` must have at most `max_length` = {self.config.max_length} positions. "
                f"Received: shape {tuple(token_ids.shape)}"
            )
        x = self.embedding(token_ids)  # (B, T, D)
        x = x + self.positions(self.FIRST_POSITION + ops.arange(length))[None]  # (1, T, D)
        if self.segment_embedding is not None:
            segment_ids = inputs.get("segment_ids")
            segment_ids = ops.zeros_like(token_ids) if segment_ids is None else segment_ids
            x = x + self.segment_embedding(segment_ids)
        x = self.drop(self.embedding_norm(x), training=training)
        attention_mask = key_padding_mask(inputs["padding_mask"])  # (B, 1, 1, T)
        for block in self.blocks:
            x, _ = block(x, attention_mask=attention_mask, training=training)
        return x

    def pooled(self, hidden: Any) -> Any:
        """One vector for a text, `(B, T, D)` -> `(B, D)`: its first token's, pooled if we can."""
        first = hidden[:, 0]  # (B, D)
        return first if self.pooler is None else self.pooler(first)


def _sizes(num_layers: int, hidden_dim: int) -> Config:
    """A published size: heads 64 wide, feed-forward four times the width."""
    return Config(
        hidden_dim=hidden_dim,
        ffn_dim=4 * hidden_dim,
        num_heads=hidden_dim // 64,
        num_layers=num_layers,
    )


class Bert(BertEncoder):
    """BERT.

    Args:
        config: a `Config`.

    Example:
        >>> model = Bert(Config(hidden_dim=128, ffn_dim=512, num_heads=2, num_layers=2))
    """

    Config = Config
    PRESETS = {
        # Turc et al. 2019, https://arxiv.org/abs/1908.08962, table 1: 4.4, 11.3, 29.1 and 41.7
        # million parameters.
        "tiny": _sizes(2, 128),
        "mini": _sizes(4, 256),
        "small": _sizes(4, 512),
        "medium": _sizes(8, 512),
        # Devlin et al. 2019, section 3: 110 and 340 million parameters.
        "base": Config(),
        "large": _sizes(24, 1024),
        # https://github.com/google-research/bert, "BERT-Base, Chinese": its vocabulary is the
        # characters of simplified and traditional Chinese.
        "base_chinese": Config(vocab_size=21128),
    }
