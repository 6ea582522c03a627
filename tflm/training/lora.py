"""Low-rank adaptation (LoRA): a few new weights learn, those of the network stay as they are.

    add_lora(task.model, rank=8)
    task.compile()                        # after it, for other weights learn now
    task.fit(rows, epochs=3)
    task.export("saved_models/reviews")   # an ordinary network: merged

Hu et al. 2021, https://arxiv.org/abs/2106.09685, equation 3: a layer multiplies by `W + s A B`
instead of `W`, where `A` has `rank` columns and `B`, zeros at first, as many rows; `s` is
`alpha / rank`. Dense and convolutional layers are Keras's, and so is their arithmetic
(`enable_lora`); recurrent layers and convolutions with normalised weights have it of
`tflm.layers.low_rank`. Whatever saves a task (`save_pretrained`, `.keras`, `export`, `weights_of`)
writes `W + s A B` in place of `W`, and neither `A` nor `B`.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

_PROJECTIONS = ("query", "value")
_NUM_LISTED = 8


def add_lora(
    model: Any,
    rank: int,
    *,
    alpha: float | None = None,
    layers: Sequence[str] | str | None = None,
) -> list[str]:
    """Gives layers LoRA and freezes all other weights of the model; the answers stay.

    What is not in `model`, a task's head say, learns as before. Compile after it.

    Args:
        model: a built network of `tflm.models`, or any Keras model or layer.
        rank: columns of `A`.
        alpha: over `rank`, what `A B` is multiplied by; `rank` by default.
        layers: which of its dense, convolutional and recurrent layers. Names: a layer's own, or
            words of it; "query" is in "query_key_value" too, which holds three projections in one
            product and is adapted as a whole. Or a regular expression, searched in paths such as
            "block_0/feed_forward/up". By default the projections of attention, "query" and
            "value", and of a network that lacks one of them all of its layers.

    Returns:
        Paths of the layers that have LoRA now.

    Raises:
        ValueError: `rank` or `alpha` is too small, the model has no layer with a matrix, none is
            called so, or one that is has LoRA already, is quantized or frozen.
    """
    if rank < 1:
        raise ValueError(f"`rank` must be at least 1. Received: rank={rank}")
    if alpha is not None and alpha <= 0:
        raise ValueError(f"`alpha` must be positive. Received: alpha={alpha}")
    chosen = _chosen(model, layers)
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
        for weight, merged in merged_weights(layer):
            weight.assign(merged)
        start_anew(layer)  # a graph traced before goes on adding the product
        for name in [weight.name for weight in layer.weights if is_lora(weight)]:
            delattr(layer, name)
        layer.lora_enabled, layer.lora_rank, layer.lora_alpha = False, None, None
    if found:
        states = [(layer, layer.trainable) for layer in model._flatten_layers()]
        for layer, state in states:  # from the outside in: it is handed down
            layer.trainable = not state  # what it is already would be handed down to nobody
            layer.trainable = state


def lora_layers(model: Any) -> list[Any]:
    """The layers of a model or layer that have LoRA."""
    return [layer for layer in _adaptable(model).values() if layer.lora_enabled]


def has_lora(parts: Iterable[Any]) -> bool:
    """Whether a layer of one of some models has LoRA."""
    return any(lora_layers(part) for part in parts)


def merged_weights(layer: Any) -> Iterator[tuple[Any, np.ndarray]]:
    """The variables `W` of a layer that has LoRA, each with `W + s A B` in its dtype."""
    named = {weight.name: weight for weight in layer.weights}
    for name in [name for name in named if f"lora_{name}_a" in named]:
        weight = np.asarray(named[name])
        a, b = (np.asarray(named[f"lora_{name}_{part}"], "float32") for part in "ab")
        added = layer.lora_alpha / layer.lora_rank * (a @ b)
        yield named[name], (weight.astype("float32") + added).astype(weight.dtype)


def start_anew(layer: Any) -> None:
    """Makes every `B` of a layer zeros: it multiplies by `W` alone."""
    for weight in layer.weights:
        if is_lora(weight) and weight.name.endswith("_b"):
            weight.assign(np.zeros(weight.shape))


def is_lora(weight: Any) -> bool:
    """Whether a weight is an `A` or a `B`."""
    return re.fullmatch(r"lora_\w+_[ab]", weight.name) is not None


def _adaptable(model: Any) -> dict[str, Any]:
    """The built layers of a model that can have LoRA by path, without its own name in front.

    Embeddings are left out: they are the output's weights too, and large.
    """
    return {
        layer.weights[0].path.removeprefix(f"{model.name}/").rpartition("/")[0] or layer.name: layer
        for layer in model._flatten_layers()
        if hasattr(layer, "enable_lora")
        and layer.built
        and not isinstance(layer, keras.layers.Embedding)
    }


def _chosen(model: Any, layers: Sequence[str] | str | None) -> dict[str, Any]:
    found = _adaptable(model)
    if not found:
        raise ValueError(
            "`model` must have a dense, convolutional or recurrent layer, whose matrix LoRA can "
            f"adapt. Received: {type(model).__name__} {model.name!r}, which has none"
        )
    if layers is None:
        both = all(any(_matches(path, (word,)) for path in found) for word in _PROJECTIONS)
        layers = _PROJECTIONS if both else "."
    chosen = {path: layer for path, layer in found.items() if _matches(path, layers)}
    if not chosen:
        raise ValueError(
            f"`layers` must match a layer of the model: {_listed(found)}. "
            f"Received: layers={layers!r}"
        )
    return chosen


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
    return ", ".join(shown)
