"""Where a token stands: sinusoids (Vaswani et al. 2017, section 3.5) or learned vectors."""

import math
from typing import Any

import keras
from keras import ops


def sinusoidal_positions(length: Any, dim: int, index: Any = 0) -> Any:
    """Position vectors `(length, dim)` of the positions `index … index + length - 1`.

    `PE(pos, 2i) = sin(pos / 10000^(2i / dim))` and `PE(pos, 2i + 1) = cos(...)` as published. The
    sines fill the first half and the cosines the second: a fixed permutation of the published
    columns, which the learned projections cannot tell apart and which needs no interleaving.

    Args:
        length: number of positions, integer or scalar tensor.
        dim: `D`, even.
        index: the first position.

    Returns:
        float32 `(length, dim)`.

    Raises:
        ValueError: `dim` is odd.
    """
    if dim % 2:
        raise ValueError(f"`dim` must be even. Received: dim={dim}")
    frequencies = ops.exp(ops.arange(0, dim, 2, dtype="float32") * (-math.log(10000.0) / dim))
    positions = ops.cast(index + ops.arange(length), "float32")  # (T,)
    angles = positions[:, None] * frequencies[None, :]  # (T, D / 2)
    return ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=-1)  # (T, D)


class LearnedPositions(keras.layers.Layer):
    """One trained vector for each of `max_length` positions.

    Args:
        max_length: number of positions.
        dim: `D`.

    Call arguments:
        length: number of positions wanted, integer or scalar tensor.
        index: the first position.

    Returns:
        `(length, dim)`.
    """

    def __init__(self, max_length: int, dim: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.max_length = max_length
        self.dim = dim

    def build(self, *_: Any) -> None:
        self.embeddings = self.add_weight(
            shape=(self.max_length, self.dim),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
            name="embeddings",
        )

    def call(self, length: Any, index: Any = 0) -> Any:
        return ops.take(
            ops.convert_to_tensor(self.embeddings, self.compute_dtype),
            index + ops.arange(length),
            axis=0,
        )
