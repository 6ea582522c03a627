"""Scores of a text's labels, from an encoder's hidden states.

`B` texts, `T` length, `D` width, `L` labels.
"""

from typing import Any

import keras

from tflm.layers.pooling import POOLINGS


class ClassificationHead(keras.layers.Layer):
    """One vector for a text, dropout, and a dense layer.

    Args:
        hidden_dim: `D`.
        num_labels: `L`.
        pooling: "first", "mean", "max" or "attention", see `tflm.layers.pooling`.
        dropout: rate applied to the vector.

    Call arguments:
        hidden: `(B, T, D)`.
        padding_mask: boolean `(B, T)`.
        pooled: `(B, D)`, the vector, where the encoder has made one; by default the head does.

    Returns:
        Logits `(B, L)`.

    Raises:
        ValueError: `pooling` is not a known one.
    """

    def __init__(
        self,
        hidden_dim: int,
        num_labels: int,
        pooling: str = "first",
        dropout: float = 0.1,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if pooling not in POOLINGS:
            raise ValueError(
                f"`pooling` must be one of {sorted(POOLINGS)}. Received: pooling={pooling!r}"
            )
        self.hidden_dim = hidden_dim
        self.num_labels = num_labels
        self.dropout = dropout
        policy = self.dtype_policy
        self.pooling = POOLINGS[pooling](hidden_dim, dtype=policy, name="pooling")
        self.drop = keras.layers.Dropout(dropout, dtype=policy)
        self.dense = keras.layers.Dense(num_labels, dtype=policy, name="dense")

    def build(self, *_: Any) -> None:
        self.pooling.build((None, None, self.hidden_dim))
        self.dense.build((None, self.hidden_dim))
        self.built = True

    def call(
        self, hidden: Any, padding_mask: Any, pooled: Any = None, training: bool | None = None
    ) -> Any:
        vector = self.pooling(hidden, padding_mask) if pooled is None else pooled  # (B, D)
        return self.dense(self.drop(vector, training=training))  # (B, L)
