"""Keras ops as KerasHub's networks call them, for a graph whose batches have any size."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from tflm.export.slice_update import without_xla


def squeeze(x: Any, axis: Any = None) -> Any:
    """`keras.ops.squeeze`, which refuses an axis whose size a graph does not know."""
    return tf.squeeze(x, axis)


@contextlib.contextmanager
def in_a_graph() -> Iterator[None]:
    """Inside, `keras.ops` has ops that a graph of unknown sizes can have and TF Serving runs."""
    own = keras.ops.squeeze
    keras.ops.squeeze = squeeze
    try:
        with without_xla():
            yield
    finally:
        keras.ops.squeeze = own
