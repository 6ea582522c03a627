"""The position-wise feed-forward network (Vaswani et al. 2017, equation 2), plain or gated."""

from typing import Any

import keras
from keras import ops

from tflm.layers.activations import activate
from tflm.layers.activations import activation as find_activation
from tflm.layers.dropout import Dropout
from tflm.layers.shapes import unflatten


class FeedForward(keras.layers.Layer):
    """Two dense layers with an activation between, the same at every position.

    Gated (Shazeer 2020, https://arxiv.org/abs/2002.05202, equation 6), a third dense layer's
    activation multiplies the first: `down(activation(gate(x)) * up(x))`.

    Args:
        hidden_dim: `D`, width of input and output.
        ffn_dim: `F`, width between the two.
        activation: name of an activation, see `tflm.layers.activations`.
        dropout: rate applied after the activation.
        use_bias: whether the dense layers have biases.
        gated: whether there is a gate.

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
        use_bias: bool = True,
        gated: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.hidden_dim = hidden_dim
        self.ffn_dim = ffn_dim
        self.activation = find_activation(activation)
        self.gate = self._dense(ffn_dim, use_bias, "gate") if gated else None
        self.up = self._dense(ffn_dim, use_bias, "up")
        self.down = self._dense(hidden_dim, use_bias, "down")
        self.drop = Dropout(dropout, dtype=self.dtype_policy) if dropout else None

    def _dense(self, units: int, use_bias: bool, name: str) -> keras.layers.Dense:
        return keras.layers.Dense(units, use_bias=use_bias, dtype=self.dtype_policy, name=name)

    def build(self, *_: Any) -> None:
        self.up.build((None, self.hidden_dim))
        self.down.build((None, self.ffn_dim))
        if self.gate is not None:
            self.gate.build((None, self.hidden_dim))

    def call(self, x: Any, training: bool | None = None) -> Any:
        # On two-dimensional input a dense layer with its bias and activation is one fused op.
        flat = ops.reshape(x, (-1, self.hidden_dim))  # (B * T, D)
        wide = self.up(flat)  # (B * T, F)
        if self.gate is None:
            wide = activate(self.activation, wide, training)
        else:
            wide = activate(self.activation, self.gate(flat), training) * wide
        if self.drop is not None:
            wide = self.drop(wide, training=training)
        return unflatten(self.down(wide), x)  # (B, T, D)
