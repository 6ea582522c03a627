"""A bidirectional LSTM over word vectors. https://arxiv.org/abs/1705.02364 (Conneau et al. 2017)

Every token has the states of both directions at its place; a classifier takes the largest value of
each over the text ("max" pooling), the best of the encoders that the paper compares.
"""

import dataclasses
from typing import Any, ClassVar

from keras import ops

from tflm.layers.dropout import Dropout
from tflm.layers.embeddings import TokenEmbedding
from tflm.layers.recurrent import LSTM
from tflm.models.base import Encoder


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes and dropout; the defaults are the paper's.

    `hidden_dim` is that of both directions together. Dropout is applied to word vectors and between
    layers.
    """

    vocab_size: int = 50000
    embedding_dim: int = 300
    hidden_dim: int = 4096
    num_layers: int = 1
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.hidden_dim % 2:
            raise ValueError(
                "`hidden_dim` must be even, for two directions. "
                f"Received: hidden_dim={self.hidden_dim}"
            )


class LSTMEncoder(Encoder):
    """A stack of LSTM layers that read a text in both directions.

    Args:
        config: a `Config`.

    Example:
        >>> model = LSTMEncoder(Config(vocab_size=8000, embedding_dim=128, hidden_dim=256))
    """

    POOLING: ClassVar[str] = "max"

    Config = Config
    PRESETS = {
        # For small data: the memory, in each direction, of the LSTMs for sentiment in table 1 of
        # Tai et al. 2015, https://arxiv.org/abs/1503.00075.
        "small": Config(hidden_dim=336, dropout=0.5),
        # Conneau et al. 2017, section 3.3 and table 3: "BiLSTM-Max" of 4096 dimensions.
        "base": Config(),
    }

    def __init__(self, config: Any, **kwargs: Any):
        super().__init__(config, **kwargs)
        policy = self.dtype_policy
        self.embedding = TokenEmbedding(
            config.vocab_size, config.embedding_dim, dtype=policy, name="embedding"
        )
        self.forward_cells, self.backward_cells = (
            [
                LSTM(config.hidden_dim // 2, dtype=policy, name=f"{direction}_{i}")
                for i in range(config.num_layers)
            ]
            for direction in ("forward", "backward")
        )
        self.drop = Dropout(config.dropout, dtype=policy)

    def build(self, *_: Any) -> None:
        self.embedding.build(None)
        width = self.config.embedding_dim
        for cells in zip(self.forward_cells, self.backward_cells, strict=True):
            for cell in cells:
                cell.build((None, None, width))
            width = self.config.hidden_dim
        self.built = True

    def call(self, inputs: dict[str, Any], training: bool | None = None) -> Any:
        """Hidden states `(B, T, D)`.

        Args:
            inputs: `token_ids` `(B, T)`, `padding_mask` `(B, T)`.
            training: whether dropout is on.
        """
        padding_mask = inputs["padding_mask"]
        x = self.embedding(inputs["token_ids"])  # (B, T, E)
        for forward, backward in zip(self.forward_cells, self.backward_cells, strict=True):
            x = self.drop(x, training=training)
            before, _ = forward(x, padding_mask=padding_mask)
            after, _ = backward(x, padding_mask=padding_mask, reverse=True)
            x = ops.concatenate([before, after], axis=-1)  # (B, T, D)
        return x
