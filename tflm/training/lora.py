"""Low-rank adaptation (LoRA): a few new weights learn, those of the network stay as they are.

    add_lora(task.model, rank=8)
    task.compile()                        # after it, for other weights learn now
    task.fit(rows, epochs=3)
    task.export("saved_models/reviews")   # an ordinary network: merged

Hu et al. 2021, https://arxiv.org/abs/2106.09685, equation 3: a layer multiplies by `W + s A B`
instead of `W`, where `A` has `rank` columns and `B`, zeros at first, as many rows; `s` is
`alpha / rank`. The layers are Keras's, and so is their arithmetic (`Dense.enable_lora`). Whatever
saves a task (`save_pretrained`, `.keras`, `export`, `weights_of`) writes `W + s A B` in place of
`W`, and neither `A` nor `B`.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np

_KINDS = (keras.layers.Dense, keras.layers.EinsumDense)
_MATRICES = ("lora_kernel_a", "lora_kernel_b")
_NUM_LISTED = 8


def add_lora(
    model: Any,
    rank: int,
    *,
    alpha: float | None = None,
    layers: Sequence[str] | str = ("query", "value"),
) -> list[str]:
    """Gives dense layers LoRA and freezes all other weights of the model; the answers stay.

    What is not in `model`, a task's head say, learns as before. Compile after it.

    Args:
        model: a built network of `tflm.models`, or any Keras model or layer.
        rank: columns of `A`.
        alpha: over `rank`, what `A B` is multiplied by; `rank` by default.
        layers: which of its `Dense` and `EinsumDense`. Names: a layer's own, or words of it;
            "query" is in "query_key_value" too, which holds three projections in one product and
            is adapted as a whole. Or a regular expression, searched in paths such as
            "block_0/feed_forward/up".

    Returns:
        Paths of the layers that have LoRA now.

    Raises:
        ValueError: `rank` or `alpha` is too small, no layer is called so, or one that is has LoRA
            already, is quantized or frozen.
    """
    if rank < 1:
        raise ValueError(f"`rank` must be at least 1. Received: rank={rank}")
    if alpha is not None and alpha <= 0:
        raise ValueError(f"`alpha` must be positive. Received: alpha={alpha}")
    dense = _dense_layers(model)
    chosen = {path: layer for path, layer in dense.items() if _matches(path, layers)}
    if not chosen:
        raise ValueError(
            f"`layers` must match a dense layer of the model: {_listed(dense)}. "
            f"Received: layers={layers!r}"
        )
    for path, layer in chosen.items():
        _check(path, layer)
    for layer in chosen.values():
        layer.enable_lora(rank, lora_alpha=alpha)
    for weight in model.weights:
        weight.trainable = is_lora(weight)
    return list(chosen)


def merge_lora(model: Any) -> None:
    """Makes `W + s A B` the layers' own weights and takes LoRA away; the answers stay.

    All weights learn again but those of layers frozen as a whole. Compile after it.

    Args:
        model: a model or layer; without LoRA it stays as it is.
    """
    found = lora_layers(model)
    for layer in found:
        kernel_of(layer).assign(merged_kernel(layer))
        # A graph traced before goes on adding the product.
        layer.lora_kernel_b.assign(np.zeros(layer.lora_kernel_b.shape))
        for name in _MATRICES:
            delattr(layer, name)
        layer.lora_enabled, layer.lora_rank, layer.lora_alpha = False, None, None
    if found:
        states = [(layer, layer.trainable) for layer in model._flatten_layers()]
        for layer, state in states:  # from the outside in: it is handed down
            layer.trainable = not state  # what it is already would be handed down to nobody
            layer.trainable = state


def lora_layers(model: Any) -> list[Any]:
    """The layers of a model or layer that have LoRA."""
    return [layer for layer in _dense_layers(model).values() if layer.lora_enabled]


def has_lora(parts: Iterable[Any]) -> bool:
    """Whether a layer of one of some models has LoRA."""
    return any(lora_layers(part) for part in parts)


def kernel_of(layer: Any) -> Any:
    """The variable `W` of a dense layer."""
    return next(weight for weight in layer.weights if weight.name == "kernel")


def merged_kernel(layer: Any) -> np.ndarray:
    """`W + s A B` of a layer that has LoRA, in the dtype of `W`."""
    kernel = np.asarray(kernel_of(layer))
    a, b = (np.asarray(getattr(layer, name), "float32") for name in _MATRICES)
    added = layer.lora_alpha / layer.lora_rank * (a @ b)
    return (kernel.astype("float32") + added).astype(kernel.dtype)


def is_lora(weight: Any) -> bool:
    """Whether a weight is an `A` or a `B`."""
    return weight.name in _MATRICES


def _dense_layers(model: Any) -> dict[str, Any]:
    """The built dense layers of a model by path, without its own name in front."""
    return {
        kernel_of(layer).path.removeprefix(f"{model.name}/").rpartition("/")[0] or layer.name: layer
        for layer in model._flatten_layers()
        if isinstance(layer, _KINDS) and layer.built
    }


def _matches(path: str, layers: Sequence[str] | str) -> bool:
    if isinstance(layers, str):
        return re.search(layers, path) is not None
    name = path.rpartition("/")[2]
    return any(f"_{word}_" in f"_{name}_" for word in layers)


def _check(path: str, layer: Any) -> None:
    if layer.lora_enabled:
        raise ValueError(
            f"`model` must have no LoRA yet in the layers that match: merge it first. "
            f"Received: a layer {path} of rank {layer.lora_rank}"
        )
    if layer.quantization_mode is not None:
        raise ValueError(
            "`model` must not be quantized in the layers that match. "
            f"Received: a layer {path} in {layer.quantization_mode}"
        )
    if not layer.trainable:
        raise ValueError(
            "`model` must not be frozen in the layers that match, for LoRA would be too; all else "
            f"is frozen here. Received: a layer {path} with trainable=False"
        )


def _listed(layers: Iterable[str]) -> str:
    """Paths, of numbered layers one for all, and not too many."""
    paths = list(dict.fromkeys(re.sub(r"_\d+(?=/|$)", "_N", path) for path in layers))
    rest = len(paths) - _NUM_LISTED
    shown = [*paths[:_NUM_LISTED], *([f"and {rest} others"] if rest > 0 else [])]
    return ", ".join(shown) or "it has none"
