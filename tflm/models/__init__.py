"""Architectures. The file's name is the architecture's name: adding a file is all it takes."""

import concurrent.futures
import dataclasses
import functools
import importlib
import math
import pkgutil
from collections.abc import Callable
from typing import Any, TypeVar

import keras

from tflm.models.base import EncoderDecoder, Model

_T = TypeVar("_T")

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")


def _leaves(cls: type[Model]) -> list[type[Model]]:
    if cls.PRESETS:
        return [cls]
    return [leaf for child in cls.__subclasses__() for leaf in _leaves(child)]


ARCHITECTURES = {cls.__module__.rpartition(".")[2]: cls for cls in _leaves(Model)}


def find(name: str) -> tuple[type[Model], Any]:
    """The class and the `Config` that "architecture/preset" names, "transformer/base" say.

    Raises:
        ValueError: no such architecture or preset; the message lists the known ones.
    """
    architecture, _, preset = name.partition("/")
    if architecture not in ARCHITECTURES:
        raise ValueError(
            f"`name` must be one of {sorted(ARCHITECTURES)}, a slash and a preset. "
            f"Received: name={name!r}"
        )
    cls = ARCHITECTURES[architecture]
    if preset not in cls.PRESETS:
        known = [f"{architecture}/{known}" for known in cls.PRESETS]
        raise ValueError(f"`name` must be one of {known}. Received: name={name!r}")
    return cls, cls.PRESETS[preset]


def build(name: str, /, **kwargs: Any) -> Model:
    """A model with fresh weights, as "architecture/preset" names it.

    Args:
        name: for example "transformer/base".
        **kwargs: passed to the class: `dtype`, `name`.

    Raises:
        ValueError: no such architecture or preset; the message lists the known ones.
    """
    cls, config = find(name)
    return cls(config, **kwargs)


def check(network: type[Model], config: Any) -> None:
    """Refuses what the network cannot be, without making one that takes memory.

    Args:
        network: the architecture's class.
        config: a `Config` of it.

    Raises:
        ValueError: as the class raises it: a width that its heads cannot share, say.
    """
    _apart(lambda: network(config) and None)


def num_parameters(name: str) -> int:
    """Weights of "architecture/preset", counted without allocating them.

    Raises:
        ValueError: no such architecture or preset; the message lists the known ones.
    """
    _, config = find(name)
    architecture = name.partition("/")[0]
    # Layers from the second on are alike: of a deep stack the first is counted, and one more.
    depths = {
        field.name: depth
        for field in dataclasses.fields(config)
        if field.name.startswith("num_")
        and field.name.endswith("layers")
        and (depth := getattr(config, field.name)) > 1
    }
    shallow = dataclasses.replace(config, **dict.fromkeys(depths, 1))
    total = one = _count(architecture, shallow)
    for field, depth in depths.items():
        two = _count(architecture, dataclasses.replace(shallow, **{field: 2}))
        total += (depth - 1) * (two - one)
    return total


@functools.cache
def _count(architecture: str, config: Any) -> int:
    def count() -> int:
        with keras.StatelessScope(initialize_variables=False):  # variables get shapes, no values
            model = ARCHITECTURES[architecture](config)
            model.build(None)
        return sum(math.prod(weight.shape) for weight in model.weights)

    return _apart(count)


def _apart(work: Callable[[], _T]) -> _T:
    """Does what Keras is to take no note of.

    It counts the names that it gave, and notes the variables that wait for values, for each thread:
    here they end with it.
    """
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        return thread.submit(work).result()


def presets() -> list[dict[str, Any]]:
    """The zoo as rows: `name`, `parameters`, and the fields of the config."""
    names = [f"{name}/{preset}" for name, cls in ARCHITECTURES.items() for preset in cls.PRESETS]
    return [
        {"name": name, "parameters": num_parameters(name), **dataclasses.asdict(find(name)[1])}
        for name in names
    ]


__all__ = [
    "ARCHITECTURES",
    "EncoderDecoder",
    "Model",
    "build",
    "check",
    "find",
    "num_parameters",
    "presets",
]
