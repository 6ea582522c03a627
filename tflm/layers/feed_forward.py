"""The position-wise feed-forward network (Vaswani et al. 2017, equation 2)."""

from typing import Any

import keras
from keras import ops


class FeedForward(keras.layers.Layer):
    """Two dense layers with an activation between, the same at every position.

    Args:
        hidden_dim: `D`, width of input and output.
        ffn_dim: `F`, width between the two.
        activation: name of a Keras activation.
        dropout: rate applied after the activation.

    Call arguments:
        x: `(B, T, D)`.

    Returns:
        `(B, T, D)`.
    """

    def __init__(
        self,
        hidden_dim: int,
        ffn_dim: int,
        activation: str = "relu",
        dropout: float = 0.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.hidden_dim = hidden_dim
        self.ffn_dim = ffn_dim
        self.up = keras.layers.Dense(ffn_dim, activation, dtype=self.dtype_policy, name="up")
        self.down = keras.layers.Dense(hidden_dim, dtype=self.dtype_policy, name="down")
        self.drop = keras.layers.Dropout(dropout, dtype=self.dtype_policy) if dropout else None

    def build(self, *_: Any) -> None:
        self.up.build((None, self.hidden_dim))
        self.down.build((None, self.ffn_dim))

    def call(self, x: Any, training: bool | None = None) -> Any:
        # On two-dimensional input a dense layer with its bias and activation is one fused op.
        flat = self.up(ops.reshape(x, (-1, self.hidden_dim)))  # (B * T, F)
        if self.drop is not None:
            flat = self.drop(flat, training=training)
        return ops.reshape(self.down(flat), ops.shape(x))  # (B, T, D)
