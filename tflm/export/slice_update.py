"""`keras.ops.slice_update` as an op that TF Serving runs.

Keras has TensorFlow run it as an op of XLA's, which fails on a server that was not told to use XLA.
KerasHub writes its caches and its tokens with it.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf


def slice_update(inputs: Any, start_indices: Any, updates: Any) -> Any:
    """`inputs` with `updates` in place of a slice of the same shape.

    As XLA's op does, it moves a slice that would reach beyond the end to where it does not.

    Args:
        inputs: a tensor.
        start_indices: where the slice starts, a whole number for each axis.
        updates: a tensor of the same rank and dtype.
    """
    inputs, updates = tf.convert_to_tensor(inputs), tf.convert_to_tensor(updates)
    updates = tf.cast(updates, inputs.dtype)
    axes = _written(inputs, start_indices, updates)
    if not axes:
        return tf.identity(updates)
    sizes, written = tf.shape(inputs), tf.shape(updates)
    places = []
    for axis in range(axes):
        start = tf.clip_by_value(
            tf.cast(start_indices[axis], tf.int32), 0, sizes[axis] - written[axis]
        )
        places.append(start + tf.range(written[axis]))
    indices = tf.stack(tf.meshgrid(*places, indexing="ij"), axis=-1)  # (*written, axes)
    found = tf.tensor_scatter_nd_update(inputs, indices, updates)
    return tf.ensure_shape(found, inputs.shape)


@contextlib.contextmanager
def without_xla() -> Iterator[None]:
    """Inside, `keras.ops.slice_update` is the function above."""
    own = keras.ops.slice_update
    keras.ops.slice_update = slice_update
    try:
        yield
    finally:
        keras.ops.slice_update = own


def _written(inputs: Any, start_indices: Any, updates: Any) -> int:
    """Axes from the first to the last that is not written as a whole."""
    axes = len(inputs.shape)
    if isinstance(start_indices, Sequence):
        while axes and _is_whole(inputs.shape[axes - 1], updates.shape[axes - 1]):
            if not isinstance(start_indices[axes - 1], int):
                break
            axes -= 1
    return axes


def _is_whole(size: int | None, written: int | None) -> bool:
    return size is not None and size == written
