"""Where a token stands: sinusoids, learned vectors, rotations or relative biases."""

import math
from typing import Any

import keras
from keras import ops

from tflm.layers.masks import segment_mask


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
        positions: integer `(B, T)` or `(T,)`.

    Returns:
        `(B, T, D)` or `(T, D)`.
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

    def call(self, positions: Any) -> Any:
        table = ops.convert_to_tensor(self.embeddings, self.compute_dtype)
        return ops.take(table, positions, axis=0)


def token_positions(
    length: Any, index: Any = 0, left_padding: Any = None, segment_ids: Any = None
) -> Any:
    """Positions of the tokens `index … index + length - 1` of each row, counted from its first.

    Args:
        length: `T`, integer or scalar tensor.
        index: tokens before these, padding included.
        left_padding: int `(B,)`, padding at the start of each row; or `None`.
        segment_ids: int `(B, T)`: positions start again where a new segment does; only with
            `index` 0.

    Returns:
        int32 `(B, T)`, or `(1, T)` where all rows are alike. Padding has position 0.
    """
    if segment_ids is not None:  # as many as stand before it in its segment
        before = ops.tril(segment_mask(segment_ids)[:, 0], -1)  # (B, T, T)
        return ops.sum(ops.cast(before, "int32"), axis=-1)
    tokens = index + ops.arange(length, dtype="int32")[None]  # (1, T)
    if left_padding is None:
        return tokens
    return ops.maximum(tokens - left_padding[:, None], 0)  # (B, T)


def rotary_tables(positions: Any, frequencies: Any, factor: float = 1.0) -> tuple[Any, Any]:
    """Cosines and sines for `rotate`, float32 `(B, 1, T, K)` each.

    Su et al. 2021, https://arxiv.org/abs/2104.09864, equation 34, with the halves of a head as the
    pairs (dimension `i` with `i + K / 2`), as the public checkpoints have it.

    Args:
        positions: integer `(B, T)`.
        frequencies: float `(K / 2,)`, radians per position.
        factor: multiplies both tables.
    """
    angles = ops.cast(positions, "float32")[:, None, :, None] * ops.cast(frequencies, "float32")
    angles = ops.concatenate([angles, angles], axis=-1)  # (B, 1, T, K)
    return ops.cos(angles) * factor, ops.sin(angles) * factor


def rotate(x: Any, cosines: Any, sines: Any) -> Any:
    """Turns queries or keys `(B, H, T, K)` by their positions' angles `(B or 1, 1, T, K)`."""
    # The gradient of a slice is a tensor of zeros around it; that of both halves, their join.
    first, second = ops.split(x, 2, axis=-1)
    turned = ops.concatenate([-second, first], axis=-1)
    return x * ops.cast(cosines, x.dtype) + turned * ops.cast(sines, x.dtype)
