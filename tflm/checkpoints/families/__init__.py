"""Families of public checkpoints, one file each: adding a file is all it takes.

`tflm.checkpoints` says what a file holds.
"""

import importlib
import pkgutil
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Protocol

from tflm.checkpoints.mapping import Rule
from tflm.models.base import Model


class Family(Protocol):
    """What a file in this folder defines.

    A family that KerasHub has too also defines `KERAS_HUB` (names of its backbone classes),
    `config_from_keras_hub(config)` and `keras_hub_weights(config)`.

    Attributes:
        MODEL: our architecture; an architecture belongs to one family.
        MODEL_TYPES: values of `model_type` in `config.json` that it opens.
        PREFIX: what may stand before the names of the weights in checkpoints that have a head;
            "" where nothing does.
        HEADS: patterns (`fnmatch`) of tensors that belong to a head, not to the model.
        IGNORED: patterns of tensors that hold nothing learned: masks, position ids.
    """

    MODEL: type[Model]
    MODEL_TYPES: tuple[str, ...]
    PREFIX: str
    HEADS: tuple[str, ...]
    IGNORED: tuple[str, ...]

    @staticmethod
    def config_from_huggingface(config: Mapping[str, Any], names: Collection[str]) -> Any:
        """Our `Config`.

        Args:
            config: what `config.json` holds.
            names: of the stored tensors, without `PREFIX`: for parts that a checkpoint may have
                without its configuration saying so.

        Raises:
            ValueError: an option is not implemented.
        """
        ...

    @staticmethod
    def config_to_huggingface(config: Any) -> dict[str, Any]:
        """The inverse, complete enough for the transformers library to open the model."""
        ...

    @staticmethod
    def weights(config: Any) -> Iterable[Rule]:
        """Where every weight of a model with this `Config` is stored."""
        ...


FAMILIES: dict[str, Any] = {
    module.name: importlib.import_module(f"{__name__}.{module.name}")
    for module in pkgutil.iter_modules(__path__)
}


def of_model_type(model_type: Any) -> Family:
    """The family that opens checkpoints of a `model_type`.

    Raises:
        ValueError: there is none; the message lists the known types.
    """
    known = {name: family for family in FAMILIES.values() for name in family.MODEL_TYPES}
    if model_type not in known:
        raise ValueError(
            f"`model_type` must be one of {sorted(known)}. Received: model_type={model_type!r}"
        )
    return known[model_type]


def of_model(model: Any) -> Family:
    """The family of a model of ours.

    Raises:
        ValueError: its architecture has no public checkpoints; the message lists those that have.
    """
    known = {family.MODEL: family for family in FAMILIES.values()}
    if type(model) not in known:
        names = sorted(cls.__name__ for cls in known)
        raise ValueError(f"`model` must be one of {names}. Received: {type(model).__name__}")
    return known[type(model)]


def opened_by(cls: type[Model]) -> list[str]:
    """The checkpoints that an architecture opens: values of `model_type`, KerasHub's classes."""
    return [
        name
        for family in FAMILIES.values()
        if family.MODEL is cls
        for name in (*family.MODEL_TYPES, *getattr(family, "KERAS_HUB", ()))
    ]


def of_keras_hub(class_name: str) -> Any:
    """The family of a KerasHub backbone class.

    Raises:
        ValueError: there is none; the message lists the known classes.
    """
    known = {
        name: family for family in FAMILIES.values() for name in getattr(family, "KERAS_HUB", ())
    }
    if class_name not in known:
        raise ValueError(f"`backbone` must be one of {sorted(known)}. Received: {class_name}")
    return known[class_name]
