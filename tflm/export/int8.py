"""Weights kept as whole numbers of eight bits; what is computed with them stays float.

A matrix has a scale for each column, an embedding one for each of its rows: a weight is the whole
number nearest to `weight / scale` times the scale, with `scale = max |weight| / 127` over the
column or row (symmetric, Krishnamoorthi 2018, arXiv 1806.08342, section 3.1). Vectors stay as they
are. The graph makes the floats once a request, before any loop, and multiplies floats: the file is
a quarter of float32's, and no answer is faster.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

_MOST = 127  # and not 128, so that the range is the same on both sides


class Int8Weights:
    """The weights of a network as whole numbers.

    Args:
        weights: Keras variables.

    Attributes:
        num_bytes: of all weights, as they are written.

    Raises:
        ValueError: a weight is not finite.
    """

    def __init__(self, weights: Sequence[Any]):
        self._weights = list(weights)
        self._stored: dict[int, tuple[tf.Variable, tf.Variable]] = {}
        for weight in self._weights:
            if len(weight.shape) > 1 and "float" in weight.dtype:
                whole, scale = rounded(weight.numpy(), weight.path)
                self._stored[id(weight)] = (
                    tf.Variable(tf.constant(whole), trainable=False, name="whole"),
                    tf.Variable(tf.constant(scale), trainable=False, name="scale"),
                )
        self._variables = [each for pair in self._stored.values() for each in pair]
        self._variables += [w.value for w in self._weights if id(w) not in self._stored]
        self.num_bytes = sum(num_bytes(variable) for variable in self._variables)

    def round(self) -> None:
        """Gives the network's own weights the values that are served."""
        for weight in self._weights:
            if id(weight) in self._stored:
                weight.assign(_floats(*self._stored[id(weight)], weight.dtype))

    def serve(self, module: Any) -> dict[str, Callable]:
        """The signatures of a module, in which the weights are whole numbers.

        Args:
            module: one of this package with these weights, not frozen.

        Returns:
            `tf.function`s by name. What is to be saved with the module is changed to their
            variables.
        """
        functions = {name: self._wrapped(f) for name, f in module.signatures(lay_out=False).items()}
        module._variables = self._variables
        return functions

    def _wrapped(self, function: Any) -> Any:
        inner = function.python_function

        @functools.wraps(inner)
        def in_int8(*inputs: Any) -> dict[str, Any]:
            with self._scope():
                return inner(*inputs)

        return tf.function(in_int8, input_signature=function.input_signature, autograph=False)

    @contextlib.contextmanager
    def _scope(self) -> Iterator[None]:
        """Inside, reading a Keras variable gives the floats that are made here, once."""
        values = {
            id(weight): _floats(*self._stored[id(weight)], weight.dtype)
            for weight in self._weights
            if id(weight) in self._stored
        }
        with _Reading(values):
            yield


class _Reading(keras.StatelessScope):
    def __init__(self, values: dict[int, Any]):
        super().__init__()
        self._values = values

    def get_current_value(self, variable: Any) -> Any:
        found = super().get_current_value(variable)
        return self._values.get(id(variable)) if found is None else found


def rounded(weight: np.ndarray, path: str, most: int = _MOST) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers, int8, and their scales, float32, of rank 2 or more; their product is close.

    Args:
        weight: `(..., in, out)`, which gets a scale for each `out`; or embeddings `(V, D)`, one for
            each row.
        path: the weight's; that of embeddings ends so.
        most: the largest whole number.

    Raises:
        ValueError: the weight is not finite.
    """
    weight = np.asarray(weight, np.float32)
    if not np.isfinite(weight).all():
        raise ValueError(f"`weights` must be finite for int8. Received: {path} with inf or nan")
    axes = tuple(range(1, weight.ndim) if path.endswith("embeddings") else range(weight.ndim - 1))
    scale = np.abs(weight).max(axis=axes, keepdims=True) / np.float32(most)
    scale = np.where(scale > 0.0, scale, np.float32(1.0))
    return np.clip(np.rint(weight / scale), -most, most).astype(np.int8), scale


def num_bytes(variable: Any) -> int:
    """Of a variable's value, Keras's or TensorFlow's."""
    return int(np.prod(variable.shape, dtype=np.int64)) * tf.as_dtype(variable.dtype).size


def _floats(whole: Any, scale: Any, dtype: str) -> Any:
    return tf.cast(tf.cast(whole, tf.float32) * scale, dtype)
