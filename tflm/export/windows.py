"""Rows of tokens as a language model reads them: with padding in front, or in windows.

`B` batch, `P` prompt length, `L` positions that the model has, `W` windows, `T` tokens of the
longest of them.
"""

from typing import Any

import tensorflow as tf


def pad_left(ids: Any, pad_id: int) -> tuple[Any, Any]:
    """Ragged `(B, None)` -> int32 `(B, P)` with the padding in front, boolean mask `(B, P)`."""
    dense = ids.to_tensor(pad_id)  # (B, P)
    width = tf.shape(dense)[1]
    missing = width - tf.cast(ids.row_lengths(), tf.int32)  # (B,)
    places = tf.range(width)[None] - missing[:, None]  # (B, P)
    mask = places >= 0
    moved = tf.gather(dense, tf.maximum(places, 0), batch_dims=1)
    return tf.where(mask, moved, pad_id), mask


def windows(ids: Any, skipped: Any, context_length: int | None) -> dict[str, Any]:
    """The windows in which rows of tokens are read and counted.

    Args:
        ids: ragged `(B, None)`, at least one token a row; a label is the token after a token.
        skipped: int32 `(B,)`, labels of each row that are not counted.
        context_length: `L`, or `None`.

    Returns:
        int32 `row` `(W,)`; int32 `ids` and `labels`, boolean `mask` and `counted`, all `(W, T)`.
    """
    labels = tf.cast(ids.row_lengths(), tf.int32) - 1  # (B,)
    size = tf.maximum(tf.reduce_max(labels), 1) if context_length is None else context_length
    number = (labels - skipped + size - 1) // size  # (B,)
    row = tf.repeat(tf.range(tf.shape(labels)[0]), number)  # (W,)
    which = tf.range(tf.shape(row)[0]) - tf.gather(tf.cumsum(number, exclusive=True), row)
    first = tf.gather(skipped, row) + which * size  # counted
    end = tf.minimum(first + size, tf.gather(labels, row))
    start = tf.maximum(end - size, 0)
    places = start[:, None] + tf.range(tf.maximum(tf.reduce_max(end - start), 1))  # (W, T)
    mask = places < end[:, None]
    flat = tf.gather(tf.cast(ids.row_starts(), tf.int32), row)[:, None] + places
    values = tf.cast(ids.flat_values, tf.int32)
    return {
        "row": row,
        "ids": tf.gather(values, tf.where(mask, flat, 0)),
        "labels": tf.gather(values, tf.where(mask, flat + 1, 0)),
        "mask": mask,
        "counted": mask & (places >= first[:, None]),
    }
