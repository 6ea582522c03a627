"""Weights as constants of the graph.

On a CPU, TensorFlow's matrix library rearranges the weights of a product before it multiplies. It
keeps the result only where the weights are constants and the product has a bias; variables are
rearranged at every step of a decoding loop.
"""

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

# A graph is one protocol buffer, which can hold 2 GiB.
MOST_BYTES = 1_900_000_000


class Constants:
    """Constants in place of the variables that are read inside `scope`.

    Each constant is a function of its own in the graph's library, called wherever it is read:
    however many signatures and loops read it, a SavedModel holds it once. Embeddings stay
    variables: they are looked up, not multiplied.

    Args:
        weights: the model's weights.

    Raises:
        ValueError: the weights are too large for a graph.
    """

    def __init__(self, weights: list[Any]):
        self._values = {weight.path: weight.value for weight in weights}  # outside of any scope
        size = sum(value.dtype.size * math.prod(value.shape) for value in self._values.values())
        if size > MOST_BYTES:
            raise ValueError(
                f"`freeze` must be false for weights of more than {MOST_BYTES:,} bytes. "
                f"Received: freeze=True, {size:,} bytes"
            )
        self._functions: dict[str, Any] = {}

    def read(self, weight: Any) -> Any:
        """The weight's value when it was first read; `None` for embeddings."""
        if weight.path.endswith("embeddings"):
            return None
        with tf.init_scope():  # out of the graph that is being traced
            value = self._values[weight.path].numpy()
        return self.named(weight.path, value)

    def named(self, name: str, value: Any) -> Any:
        """`value`, a NumPy array, as a constant; the same one for the same name."""
        if name not in self._functions:
            self._functions[name] = tf.function(
                lambda: tf.constant(value), input_signature=[], autograph=False
            )
        return self._functions[name]()

    def holds(self, weight: Any) -> bool:
        """Whether the weight has been read."""
        return weight.path in self._functions

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """Inside, reading a Keras variable gives a constant."""
        with _Reading(self):
            yield


class _Reading(keras.StatelessScope):
    def __init__(self, constants: Constants):
        super().__init__()
        self._constants = constants

    def get_current_value(self, variable: Any) -> Any:
        found = super().get_current_value(variable)
        return self._constants.read(variable) if found is None else found
