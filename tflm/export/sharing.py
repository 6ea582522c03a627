"""Functions of the graph that several signatures call, so that a SavedModel holds each once.

A graph has an operation for every layer wherever a model is called: in the first step of a loop, in
its body, in each signature. As functions of the graph's library they are written once, and traced
once; when a server loads the model they are put in the places of their calls.
"""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

RAGGED_IDS = tf.RaggedTensorSpec([None, None], tf.int32)
_WITH_ROWS = ("step", "memory", "source")  # what of a cache has rows


class Shared:
    """A function of tensors.

    Args:
        function: tensors in, a nest of tensors out.
        signature: of its arguments.
        weights: Keras variables that it may read. Where some other value stands for one, as in
            `tflm.export.int8`, that value belongs to the graph at hand: nothing is shared then.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        signature: Sequence[Any],
        weights: Sequence[Any] = (),
    ):
        self._function = function
        self._weights = weights
        self.shared = tf.function(function, input_signature=signature, autograph=False)

    def __call__(self, *tensors: Any) -> Any:
        """What the function gives, by a call of it."""
        return (self._function if replaced(self._weights) else self.shared)(*tensors)


class SharedStep:
    """A model's `decode(token_ids, cache, index)`, a function for each kind of arguments.

    Sizes that change from call to call are left open: the first step of one token, the later ones
    and those of another signature are one function.

    Args:
        decode: the model's step.
        weights: as for `Shared`.
    """

    def __init__(
        self,
        decode: Callable[[Any, dict[str, Any], Any], tuple[Any, dict[str, Any]]],
        weights: Sequence[Any] = (),
    ):
        self._decode = decode
        self._weights = weights
        self._functions: dict[str, tuple[Any, set[str]]] = {}

    def __call__(
        self, token_ids: Any, cache: dict[str, Any], index: Any = 0
    ) -> tuple[Any, dict[str, Any]]:
        """Logits and the cache after the step, see `tflm.generation.protocol.Decode`."""
        if replaced(self._weights):
            return self._decode(token_ids, cache, index)
        index = tf.convert_to_tensor(index, tf.int32)
        kind = (
            _opened(token_ids),
            tf.TensorSpec([], tf.int32),
            {
                name: tf.nest.map_structure(_opened if name in _WITH_ROWS else _exact, value)
                for name, value in cache.items()
            },
        )
        key = repr(_ordered(kind))
        if key not in self._functions:
            self._functions[key] = self._trace(kind)
        function, gone = self._functions[key]
        flat = tf.nest.flatten((token_ids, index, cache))
        logits, changed = function(*(each for each in flat if tf.is_tensor(each)))
        kept = {name: value for name, value in cache.items() if name not in gone}
        return logits, {**kept, **changed}

    def _trace(self, kind: Any) -> tuple[Any, set[str]]:
        """The function, and what of the cache is not there any more when it has run."""
        gone: set[str] = set()

        def function(*tensors: Any) -> tuple[Any, dict[str, Any]]:
            rest = iter(tensors)
            token_ids, index, cache = tf.nest.map_structure(
                lambda each: next(rest) if isinstance(each, tf.TensorSpec) else each, kind
            )
            logits, after = self._decode(token_ids, dict(cache), index)
            gone.update(cache.keys() - after.keys())
            changed = {n: value for n, value in after.items() if value is not cache.get(n)}
            return logits, changed

        specs = [each for each in tf.nest.flatten(kind) if isinstance(each, tf.TensorSpec)]
        shared = tf.function(function, input_signature=specs, autograph=False)
        shared.get_concrete_function()
        return shared, gone


def replaced(weights: Sequence[Any]) -> bool:
    """Whether reading a Keras variable gives something else, see `keras.StatelessScope`."""
    return not all(isinstance(weight.value, tf.Variable) for weight in weights)


def _ordered(nest: Any) -> Any:
    """A nest whose dictionaries have one order."""
    if isinstance(nest, dict):
        return [(key, _ordered(nest[key])) for key in sorted(nest)]
    if isinstance(nest, list | tuple):
        return [_ordered(each) for each in nest]
    return nest


def _opened(value: Any) -> Any:
    """The spec of a tensor with rows: any number of them, and of positions."""
    if not tf.is_tensor(value):
        return value
    sizes = [None, *value.shape[1:]]
    if value.shape.rank == 4:
        sizes[2] = None  # (N, H, t, K)
    return tf.TensorSpec(sizes, value.dtype)


def _exact(value: Any) -> Any:
    return tf.TensorSpec(value.shape, value.dtype) if tf.is_tensor(value) else value
