"""Activations by name: those of Keras, and two that public checkpoints use."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

_MORE: dict[str, Callable[[Any], Any]] = {
    # Hendrycks & Gimpel 2016, section 2: GPT-2 and T5 v1.1 were trained with the approximations.
    "gelu_tanh": lambda x: ops.gelu(x, approximate=True),
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
