"""A model's weights as named arrays: saved, loaded, averaged.

Where a model has several parts, `model` may be a mapping from a prefix of names to a part:
`{"": encoder, "head/": head}`.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from tflm.training.files import load_tensors, save_tensors
from tflm.training.lora import is_lora, lora_layers, merged_weights, start_anew


def weights_of(model: Any) -> dict[str, np.ndarray]:
    """The weights of a Keras model by path, seeds and metrics left out and LoRA merged.

    Args:
        model: a built `keras.Model` or layer, or several by prefix.

    Returns:
        Arrays by variable path, without the model's own name in front.
    """
    merged = {
        id(weight): array for layer in _adapted(model) for weight, array in merged_weights(layer)
    }
    return {
        name: merged[id(weight)] if id(weight) in merged else np.asarray(weight)
        for name, weight in _named(model).items()
    }


def set_weights(model: Any, weights: dict[str, np.ndarray]) -> None:
    """Puts named arrays into a model; a layer with LoRA starts anew from its own.

    Raises:
        ValueError: names or shapes disagree; the message lists every one.
    """
    own = _named(model)
    wrong = [f"missing  {name} {tuple(own[name].shape)}" for name in sorted(own.keys() - weights)]
    wrong += [f"surplus  {name} {weights[name].shape}" for name in sorted(weights.keys() - own)]
    wrong += [
        f"shape    {name} {tuple(own[name].shape)}, received {weights[name].shape}"
        for name in sorted(own.keys() & weights)
        if _stored(own[name].shape) != _stored(weights[name].shape)
    ]
    if wrong:
        lines = "\n  ".join(wrong)
        raise ValueError(f"`weights` must match the model's weights. Received:\n  {lines}")
    for name, weight in own.items():
        weight.assign(weights[name].reshape(weight.shape))
    for layer in _adapted(model):
        start_anew(layer)


def save_weights(model: Any, path: str | os.PathLike) -> None:
    """Writes a model's weights as safetensors, whole or not at all."""
    save_tensors(path, weights_of(model))


def load_weights(model: Any, path: str | os.PathLike) -> None:
    """Reads weights that `save_weights` wrote into a model of the same architecture.

    Raises:
        ValueError: names or shapes disagree; the message lists every one.
    """
    set_weights(model, load_tensors(path)[0])


def average_weights(paths: Iterable[str | os.PathLike]) -> dict[str, np.ndarray]:
    """The mean of several weight files, the last `k` epochs of a run say.

    Vaswani et al. 2017, section 6.1, average the last 5 checkpoints of a run. Sums are kept in
    float64, one file is in memory at a time.

    Args:
        paths: files that `save_weights` wrote.

    Raises:
        ValueError: there are no paths, or the files hold different weights.
    """
    paths = list(paths)
    if not paths:
        raise ValueError("`paths` must name at least one file. Received: paths=[]")
    total: dict[str, np.ndarray] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    dtypes: dict[str, np.dtype] = {}
    for path in paths:
        weights, _ = load_tensors(path)
        found = {name: array.shape for name, array in weights.items()}
        shapes = shapes or found
        if found != shapes:
            wrong = sorted(name for name in found | shapes if found.get(name) != shapes.get(name))
            raise ValueError(
                "`paths` must hold the same weights in every file. Received: "
                f"{path} differs in {wrong}"
            )
        for name, array in weights.items():
            dtypes[name] = array.dtype
            total[name] = total.get(name, 0.0) + array.astype("float64")
    return {name: (array / len(paths)).astype(dtypes[name]) for name, array in total.items()}


@contextlib.contextmanager
def moving_average(model: Any) -> Iterator[None]:
    """Within the block the model has its optimizer's moving average of the weights (EMA).

    An optimizer without one (`use_ema=False`) changes nothing.

    Args:
        model: a compiled `keras.Model`.
    """
    if not getattr(model.optimizer, "use_ema", False):
        yield
        return
    own = [np.array(variable) for variable in model.trainable_variables]
    model.optimizer.finalize_variable_values(model.trainable_variables)
    try:
        yield
    finally:
        for variable, value in zip(model.trainable_variables, own, strict=True):
            variable.assign(value)


def _parts(model: Any) -> Mapping[str, Any]:
    return model if isinstance(model, Mapping) else {"": model}


def _named(model: Any) -> dict[str, Any]:
    return {
        prefix + weight.path.removeprefix(f"{part.name}/"): weight
        for prefix, part in _parts(model).items()
        for weight in part.weights
        if not is_lora(weight)
    }


def _adapted(model: Any) -> list[Any]:
    return [layer for part in _parts(model).values() for layer in lora_layers(part)]


def _stored(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape an array has in a file, where a scalar is one element."""
    return tuple(shape) or (1,)
