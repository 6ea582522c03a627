"""Gated convolutions with normalised weights (Dauphin et al. 2017; Gehring et al. 2017).

`N` rows, `T` length, `D` input width, `U` units, `k` kernel width.
"""

import math
from typing import Any

import keras
from keras import ops

from tflm.layers.low_rank import LowRank


class NormalizedDense(LowRank):
    """A dense layer `x W + b` whose columns have learned lengths: `W = g v / |v|`.

    Weight normalisation, Salimans & Kingma 2016, https://arxiv.org/abs/1602.07868, equation 2.

    Args:
        units: `U`.
        gain: variance of the outputs over that of the inputs at first (Gehring et al. 2017,
            section 3.5).

    Call arguments:
        x: `(..., D)`.
        kernel: what `normalized` returned, where it is at hand.

    Returns:
        `(..., U)`.
    """

    MATRICES = ("direction",)

    def __init__(self, units: int, gain: float = 1.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.units = units
        self.gain = gain

    def build(self, input_shape: Any) -> None:
        self.direction = self.add_weight(
            shape=(input_shape[-1], self.units), initializer="random_normal", name="direction"
        )
        self.length = self.add_weight(
            shape=(self.units,),
            initializer=keras.initializers.Constant(math.sqrt(self.gain)),
            name="length",
        )
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")

    def normalized(self) -> Any:
        """The kernel `(D, U)` in the compute dtype."""
        direction = ops.cast(ops.convert_to_tensor(self.direction), "float32")
        if self.lora_enabled:
            direction = direction + ops.matmul(*self.low_rank("direction"))
        squares = ops.sum(ops.square(direction), axis=0)
        length = ops.cast(ops.convert_to_tensor(self.length), "float32") * ops.rsqrt(squares)
        return ops.cast(direction * length, self.compute_dtype)

    def call(self, x: Any, kernel: Any = None) -> Any:
        kernel = self.normalized() if kernel is None else kernel
        flat = ops.matmul(ops.reshape(x, (-1, kernel.shape[0])), kernel)
        return ops.reshape(flat + self.bias, (*ops.shape(x)[:-1], self.units))


class GatedConvolution(keras.layers.Layer):
    """A convolution without padding of its own, and a gated linear unit: `a * sigmoid(b)`.

    Args:
        units: `U`.
        kernel_size: `k`.
        gain: as in `NormalizedDense`, of the convolution; 4 makes up for the gate.

    Call arguments:
        x: `(N, T + k - 1, D)`, padded by the caller.
        kernel: what `normalized` returned, where it is at hand.

    Returns:
        `(N, T, U)`.
    """

    def __init__(self, units: int, kernel_size: int, gain: float = 4.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.units = units
        self.kernel_size = kernel_size
        self.gain = gain
        self.dense = NormalizedDense(2 * units, gain, dtype=self.dtype_policy, name="dense")

    def build(self, input_shape: Any) -> None:
        self.dense.build((None, self.kernel_size * input_shape[-1]))

    def normalized(self) -> Any:
        """The kernel `(k D, 2 U)` in the compute dtype."""
        return self.dense.normalized()

    def call(self, x: Any, kernel: Any = None) -> Any:
        last = self.kernel_size - 1
        shifted = [x[:, i : (i - last) or None] for i in range(self.kernel_size)]
        windows = ops.concatenate(shifted, axis=-1)  # (N, T, k D)
        value, gate = ops.split(self.dense(windows, kernel), 2, axis=-1)
        return value * ops.sigmoid(gate)
