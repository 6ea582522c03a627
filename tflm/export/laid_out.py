"""Weights as decoding multiplies them, made when a model is loaded and not at every request.

The vectors of tokens are `(V, D)`; the product that gives logits is three times as fast with them
turned, `(D, V)`. Turned in the graph of a request they cost as much as five steps of greedy
decoding; written beside the others they would make a file a quarter larger.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

# Of 16,000 columns each takes TensorFlow's product of 128 rows 1.8 times as long as of 8,000.
# Its arrays are then larger than what the C library keeps: each product gets fresh pages.
_MOST_COLUMNS = 8192


class LaidOut(tf.Module):
    """Tensors that stay the same while a model is served.

    A server makes them from the weights right after it has read those. In a process that loads
    SavedModels by `tf.saved_model.load` they stay in memory until it ends, once for all models that
    have the same.

    Args:
        make: gives tensors by name, from the weights and from nothing else; the matrix `"output"`
            is kept as a list of blocks of its columns.
    """

    def __init__(self, make: Callable[[], Mapping[str, Any]]):
        super().__init__()

        def in_blocks() -> dict[str, Any]:
            return {name: _blocks(name, value) for name, value in make().items()}

        nest = tf.nest.map_structure(_Kept, in_blocks())
        self._kept = kept = tf.nest.flatten(nest)
        # In a function, for a module wraps the lists and dictionaries among its attributes.
        self._read = lambda: tf.nest.map_structure(lambda each: each.read(), nest)

        def assign() -> None:
            for each, value in zip(kept, tf.nest.flatten(in_blocks()), strict=True):
                each.assign(value)

        for each in kept[:1]:
            each.initialize = assign

    def read(self) -> dict[str, Any]:
        """The tensors by name, with lists of blocks among them."""
        return self._read()


class _Kept(tf.saved_model.experimental.TrackableResource):
    """One tensor.

    Attributes:
        initialize: what a server calls when it has read the weights.
    """

    def __init__(self, value: Any):
        super().__init__()
        self._value = tf.Variable(value, trainable=False)  # in this process; it is not written
        content = hashlib.sha256(value.numpy().tobytes()).hexdigest()
        # A name is of the whole process where models are not in sessions of their own.
        self._name = f"laid_out_{value.dtype.name}_{'x'.join(map(str, value.shape))}_{content}"
        self.initialize: Callable[[], None] = lambda: None
        self._handle = self.resource_handle  # the variable's, which exists outside of any graph

    def read(self) -> Any:
        value = tf.raw_ops.ReadVariableOp(resource=self.resource_handle, dtype=self._value.dtype)
        value.set_shape(self._value.shape)
        return value

    def assign(self, value: Any) -> None:
        tf.raw_ops.AssignVariableOp(resource=self.resource_handle, value=value)

    def _create_resource(self) -> Any:
        if tf.executing_eagerly():
            return self._value.handle
        return tf.raw_ops.VarHandleOp(
            dtype=self._value.dtype, shape=self._value.shape, shared_name=self._name
        )

    def _initialize(self) -> None:
        self.initialize()


def _blocks(name: str, value: Any) -> Any:
    """A matrix's columns in blocks of about the same size, if there is more than one."""
    columns = value.shape[-1] if name == "output" and value.shape.rank == 2 else 0
    number = -(-columns // _MOST_COLUMNS)
    if number < 2:
        return value
    ends = [columns * i // number for i in range(number + 1)]
    return tf.split(
        value, [end - start for start, end in zip(ends, ends[1:], strict=False)], axis=1
    )
