"""What `fit` is given: raw examples or batches, one pass over the data after another."""

from collections.abc import Iterable, Iterator
from typing import Any

import keras
import tensorflow as tf

from tflm.data.generated import generated


class BatchStream:
    """Batches of one pass over the data after another, without end, from any step on.

    Args:
        batches: has `epoch(number, start_batch) -> tf.data.Dataset` and `num_batches(number)`.
        start_step: batches already taken, counted from the first pass.
    """

    def __init__(self, batches: Any, start_step: int = 0):
        self.batches = batches
        self.start_step = start_step

    def dataset(self) -> tf.data.Dataset:
        """The endless dataset of `(x, y, sample_weight)`."""
        spec = self.batches.epoch(0).element_spec
        return generated(self._generate, spec, num_ahead=4)

    def _generate(self) -> Iterator[Any]:
        number, skip = 0, self.start_step
        while skip and skip >= self.batches.num_batches(number):
            skip -= self.batches.num_batches(number)
            number += 1
        while True:
            yield from self.batches.epoch(number, skip)
            number, skip = number + 1, 0


def even_rows(dataset: tf.data.Dataset, replicas: int) -> tf.data.Dataset:
    """Batches whose rows `replicas` devices can share evenly: of weight 0 where rows are added."""
    if replicas == 1:
        return dataset

    def even(x: Any, y: Any, weight: Any) -> tuple[Any, Any, Any]:
        rows: Any = tf.shape(y)[0]
        missing = -rows % replicas
        index = tf.concat([tf.range(rows), tf.zeros([missing], tf.int32)], axis=0)
        x, y, weight = tf.nest.map_structure(lambda part: tf.gather(part, index), (x, y, weight))
        real = tf.cast(tf.range(rows + missing) < rows, weight.dtype)  # (B,)
        # A weight is a token's, (B, T), or a text's, (B,).
        return x, y, weight * tf.reshape(real, [-1, *[1] * (weight.shape.rank - 1)])

    return dataset.map(even)


def is_raw(examples: Any) -> bool:
    """Whether `examples` are raw text rather than batches of arrays."""
    if isinstance(examples, tf.data.Dataset):
        spec = tf.nest.flatten(examples.element_spec)
        return all(getattr(part, "dtype", None) == tf.string for part in spec)
    no_text = (dict, str, Iterator, keras.utils.PyDataset)
    if isinstance(examples, no_text) or not isinstance(examples, Iterable):
        return False
    first = next(iter(examples), None)
    return isinstance(first, (list, tuple)) and all(isinstance(part, str) for part in first)
