"""Datasets of what a Python generator yields."""

from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf


def generated(
    batches: Callable[[], Iterator[Any]], signature: Any, num_ahead: int = 8
) -> tf.data.Dataset:
    """What `batches` yields, made ready while what came before is in use.

    Without autotuning: there is nothing to tune, and an iterator that is given up waits for its
    tuner to wake, which looks again after 10 ms, then 20, then 40 and at last every minute. An
    epoch, a validation or a `fit` could so take up to twice its time.

    Args:
        batches: called at each iteration.
        signature: `tf.TensorSpec`s of what it yields.
        num_ahead: batches made ready.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    dataset = tf.data.Dataset.from_generator(batches, output_signature=signature)
    return dataset.prefetch(num_ahead).with_options(options)
