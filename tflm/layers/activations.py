"""Activations by name: those of Keras, and two that public checkpoints use."""

import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops


def _gelu_tanh(x: Any) -> Any:
    return ops.gelu(x, approximate=True)


_MORE: dict[str, Callable[[Any], Any]] = {
    # Hendrycks & Gimpel 2016, section 2: GPT-2 and T5 v1.1 were trained with the approximations.
    "gelu_tanh": _gelu_tanh,
    "gelu_sigmoid": lambda x: x * ops.sigmoid(1.702 * x),
}


def activation(name: str) -> Callable[[Any], Any]:
    """The function that `name` stands for: a name of `keras.activations`, or "gelu_tanh" or
    "gelu_sigmoid", the approximations of "gelu" by a hyperbolic tangent and by a sigmoid.

    Raises:
        ValueError: Keras does not know `name`.
    """
    if name in _MORE:
        return _MORE[name]
    try:
        return keras.activations.get(name)
    except ValueError:
        raise ValueError(
            "`activation` must be a name of keras.activations, 'gelu_tanh' or 'gelu_sigmoid'. "
            f"Received: {name!r}"
        ) from None


def activate(function: Callable[[Any], Any], x: Any, training: bool | None = None) -> Any:
    """`function(x)`.

    Where it is learned through in bfloat16, GELU and its slope are computed in float32, in which
    processors have the functions they are made of, and the slope is kept: fewer and faster passes
    than those of the derived gradient. Otherwise it is what a graph fuses with the product before.

    Args:
        function: one of `activation`'s.
        x: float, of any shape.
        training: whether it is learned through.
    """
    faster = _LEARNED.get(function) if training is True else None
    is_narrow = keras.backend.standardize_dtype(x.dtype) == "bfloat16"
    return faster(x) if faster is not None and is_narrow else function(x)


def _gelu_and_slope(x: Any) -> tuple[Any, Any]:
    below = 0.5 + 0.5 * ops.erf(x * math.sqrt(0.5))  # the normal distribution's probability
    return x * below, below + x * (ops.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi))


def _gelu_tanh_and_slope(x: Any) -> tuple[Any, Any]:
    square, factor = x * x, math.sqrt(2.0 / math.pi)
    bent = ops.tanh(x * (factor + 0.044715 * factor * square))
    below = 0.5 + 0.5 * bent
    inner = factor + 3.0 * 0.044715 * factor * square
    return x * below, below + x * (0.5 - 0.5 * bent * bent) * inner


def _learned(value_and_slope: Callable[[Any], tuple[Any, Any]]) -> Callable[[Any], Any]:
    @ops.custom_gradient
    def function(x: Any) -> Any:
        y, slope = value_and_slope(ops.cast(x, "float32"))
        slope = ops.cast(slope, x.dtype)

        def gradient(*upstream: Any, **_: Any) -> Any:
            return upstream[-1] * slope

        return ops.cast(y, x.dtype), gradient

    return function


_LEARNED = {
    keras.activations.gelu: _learned(_gelu_and_slope),
    _gelu_tanh: _learned(_gelu_tanh_and_slope),
}
