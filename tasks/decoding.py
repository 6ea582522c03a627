"""How a task decodes, as JSON holds it."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from tflm.generation import Beam, Greedy, Limits, Sample

_STRATEGIES = {cls.__name__: cls for cls in (Beam, Greedy, Sample)}


def strategy_to_json(strategy: Beam | Greedy | Sample) -> dict[str, Any]:
    """Its name and its fields."""
    return {"name": type(strategy).__name__, **dataclasses.asdict(strategy)}


def decoding_to_json(strategy: Beam | Greedy | Sample, limits: Limits) -> dict[str, Any]:
    """Both, under "strategy" and "limits"."""
    return {"strategy": strategy_to_json(strategy), "limits": dataclasses.asdict(limits)}


def decoding_from_json(values: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `decoding_to_json`; what else `values` holds is left out."""
    strategy = dict(values["strategy"])
    return {
        "strategy": _STRATEGIES[strategy.pop("name")](**strategy),
        "limits": Limits(**values["limits"]),
    }
