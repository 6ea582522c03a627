"""Rows of a ragged batch: which one a value is in, and ids in any form as rows."""

from typing import Any

import tensorflow as tf


def row_of_each(row_splits: Any) -> Any:
    """The row of each value, int32, (N,), of rows that start where `row_splits`, (B + 1,), says.

    `RaggedTensor.value_rowids` and `tf.repeat` take time and memory for B times the longest row.
    """
    ends = row_splits[1:, tf.newaxis]  # (B, 1)
    size = row_splits[-1:] + 1
    steps = tf.scatter_nd(ends, tf.ones(tf.shape(ends)[:1], tf.int32), size)  # (N + 1,)
    return tf.cumsum(tf.ensure_shape(steps, [None]))[:-1]  # (N,)


def to_ragged(ids: Any) -> Any:
    """Ids as a ragged tensor (B, None): nested lists, a dense tensor (B, T) or a ragged one."""
    if not isinstance(ids, tf.RaggedTensor | tf.Tensor):
        return tf.ragged.constant(ids, dtype=tf.int32, ragged_rank=1)
    ragged: Any = tf.RaggedTensor  # whose stubs lack its class methods
    return ids if isinstance(ids, tf.RaggedTensor) else ragged.from_tensor(ids)
