"""A model made straight from stored tensors, with no random weights in between."""

import concurrent.futures
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from tflm.checkpoints.mapping import Read
from tflm.models.base import Model

_PIECE_BYTES = 2**22


def path_of(model: Model, weight: Any) -> str:
    """A weight's path without the model's own name in front."""
    return weight.path.removeprefix(f"{model.name}/")


def weight_shapes(cls: type[Model], config: Any) -> dict[str, tuple[int, ...]]:
    """The shapes of a model's weights by path, found without allocating them."""

    def shapes() -> dict[str, tuple[int, ...]]:
        with keras.StatelessScope(initialize_variables=False):
            model = cls(config)
            model.build(None)
        return {path_of(model, weight): tuple(weight.shape) for weight in model.weights}

    # Keras notes, for each thread, the variables that wait for values: here they end with it.
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        return thread.submit(shapes).result()


def assemble(cls: type[Model], config: Any, reads: Mapping[str, Read], **kwargs: Any) -> Model:
    """A model whose every weight comes from `reads`.

    One weight after another is read, large ones piece by piece: the peak is the model and little
    more.

    Args:
        cls: the architecture.
        config: its `Config`.
        reads: for every weight, by path.
        **kwargs: passed to the class: `dtype`, `name`.
    """
    with keras.StatelessScope():  # weights get their first values when the scope ends
        model = cls(config, **kwargs)
        model.build(None)
        for weight in model.weights:
            # Zeros take no time, random numbers do. Keras has no public way to say so; one that
            # ignores this draws them in vain, and nothing else changes.
            weight._initializer = keras.initializers.Zeros()
    for weight in model.weights:
        _fill(weight, reads[path_of(model, weight)])
    return model


def _fill(weight: Any, read: Read) -> None:
    """Puts a weight's value in, in pieces where the backend can write into a variable."""
    if not hasattr(type(weight.value), "scatter_nd_update"):  # TensorFlow's; not of replicas
        weight.assign(read())
        return
    for start, rows in read.pieces(_PIECE_BYTES):
        if rows.shape == tuple(weight.shape):
            weight.assign(rows)
        else:
            where = np.arange(start, start + len(rows))[:, None]  # (n, 1)
            weight.value.scatter_nd_update(where, ops.cast(rows, weight.dtype))
