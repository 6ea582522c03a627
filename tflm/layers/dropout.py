"""Dropout that asks for a quarter of the random numbers."""

import math
from typing import Any

import keras
from keras import ops

_STEPS = 256  # of a byte


class Dropout(keras.layers.Dropout):
    """`keras.layers.Dropout` with a random byte a value instead of a random float.

    Srivastava et al. 2014, https://jmlr.org/papers/v15/srivastava14a.html. Random numbers are most
    of what dropout costs. The rate is rounded to 1/256, as it is by Keras in bfloat16, and what is
    kept is divided by the share that is kept. Rates below 1/512, and those of a `noise_shape`, are
    Keras's.

    Args:
        rate: the share of the values that become 0 in training.
        noise_shape: as Keras takes it.
        seed: as Keras takes it.

    Call arguments:
        x: any shape.

    Returns:
        The same shape.
    """

    def call(self, x: Any, training: bool = False) -> Any:
        lost = round(self.rate * _STEPS)
        if not training or not 0 < lost < _STEPS or self.noise_shape is not None:
            return super().call(x, training=training)
        shape = ops.shape(x)
        size = math.prod(shape)
        numbers = keras.random.randint(
            ((size + 3) // 4, 1), -(2**31), 2**31 - 1, "int32", seed=self.seed_generator
        )
        noise = ops.reshape(ops.view(numbers, "uint8"), (-1,))[:size]
        kept = ops.cast(ops.reshape(noise, shape) >= lost, x.dtype)
        return x * (kept * (_STEPS / (_STEPS - lost)))
