"""What the graphs of all tasks have in common: their weights, and which signatures are offered."""

import abc
import inspect
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import tensorflow as tf

from tflm.export.constants import Constants
from tflm.export.laid_out import LaidOut

ALL = "all"


class ServedModule(tf.Module, abc.ABC):
    """A model and its tokenizer as functions of strings.

    Args:
        weights: every weight that is read.
        freeze: whether those that are multiplied become constants of the graph.

    Attributes:
        OFFERED: names of the signatures there are unless others are asked for: those that decode
            nothing anew, and so add little to the time of an export and of loading it.

    Raises:
        ValueError: `freeze` is asked for weights too large for a graph.
    """

    OFFERED: ClassVar[tuple[str, ...]] = ()

    def __init__(self, weights: Sequence[Any], freeze: bool = False):
        super().__init__()
        self._constants = Constants(list(weights)) if freeze else None
        # A SavedModel needs the weights alone; a tracked Keras model would be traced as a whole.
        self._variables = [weight.value for weight in weights]
        self._weights = lambda: weights
        self._asked: tuple[str, ...] | None = None
        self._laid_out: LaidOut | None = None  # in what `signatures` makes

    def offer(self, names: str | Sequence[str] | None) -> Self:
        """Says which signatures there are to be; `serving_default` is always among them.

        Args:
            names: names, or "all"; `None` for `OFFERED`.

        Raises:
            ValueError: there is no such signature.
        """
        known = tuple(self._builders())
        asked = (names,) if isinstance(names, str) else names
        if asked is not None and ALL in asked:
            asked = known
        for name in asked or ():
            if name not in known:
                raise ValueError(
                    f"`signatures` must be 'all' or some of {', '.join(known)}. Received: {name!r}"
                )
        self._asked = None if asked is None else ("serving_default", *asked)
        return self

    def signatures(self, lay_out: bool = True) -> dict[str, Any]:
        """The functions a server offers, by signature name; every tensor has a batch dimension.

        Args:
            lay_out: whether weights are turned for decoding when the model is loaded, see
                `tflm.export.laid_out`; not where something else stands for them.
        """
        served = self._sharing()
        make = self._decoding_weights() if lay_out else None
        if make is not None:
            # Tracked here, with the weights; read there, for ours may still change.
            self._tracked = served._laid_out = LaidOut(make)
        builders = served._builders()
        asked = self.OFFERED if self._asked is None else self._asked
        functions = {name: build() for name, build in builders.items() if name in asked}
        if self._constants is not None:
            for function in functions.values():
                function.get_concrete_function()
            held = self._constants.holds
            self._variables = [weight.value for weight in self._weights() if not held(weight)]
        return functions

    def _sharing(self) -> Self:
        """The module with its parts as functions that all signatures call, see `sharing`."""
        return self

    def _decoding_weights(self) -> Callable[[], dict[str, Any]] | None:
        """What gives a cache's "weights", of a module that decodes, see `tflm.export.laid_out`."""
        return None

    def _with_weights(self, cache: dict[str, Any]) -> dict[str, Any]:
        """A cache before the first token, with the weights that were laid out."""
        return cache if self._laid_out is None else {**cache, "weights": self._laid_out.read()}

    @abc.abstractmethod
    def _builders(self) -> dict[str, Callable[[], Any]]:
        """What makes the `tf.function` of each signature that there can be."""


def signature(function: Callable[..., dict[str, Any]], **inputs: Any) -> Any:
    """A signature's `tf.function`.

    Args:
        function: tensors, in the order of `inputs`, to tensors by name.
        **inputs: a dtype for vectors `(B,)`, or a spec.

    Returns:
        What may be called with its inputs by name, too.
    """
    specs = [
        tf.TensorSpec(spec.shape, spec.dtype, name)
        if isinstance(spec, tf.TensorSpec)
        else tf.TensorSpec([None], spec, name)
        for name, spec in inputs.items()
    ]

    def called(*tensors: Any, **by_name: Any) -> dict[str, Any]:
        return function(*tensors, *(by_name[name] for name in list(inputs)[len(tensors) :]))

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(name, kind) for name in inputs]
    named: Any = called
    named.__signature__ = inspect.Signature(parameters)
    return tf.function(named, input_signature=specs, autograph=False)


def mean_of_tokens(hidden: Any, padding_mask: Any) -> Any:
    """Vectors `(B, T, D)` -> the mean of those that are tokens', float32 `(B, D)`."""
    real = tf.cast(padding_mask, tf.float32)[..., None]  # (B, T, 1)
    total = tf.reduce_sum(tf.cast(hidden, tf.float32) * real, axis=1)
    return total / tf.maximum(tf.reduce_sum(real, axis=1), 1.0)


def one_at_least(values: Any) -> tuple[Any, Any]:
    """How many there are, and the same with one more where there is none, to be cut off again."""
    count = tf.shape(values)[0]
    missing = tf.maximum(1 - count, 0)
    return count, tf.concat([values, tf.zeros([missing], values.dtype)], axis=0)
