"""Which row a value of a ragged batch is in."""

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
