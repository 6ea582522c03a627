"""The card of an exported KerasHub task, in the form of the cards of the tasks here."""

import importlib.metadata
import json
import platform
from typing import Any

import keras

from tflm.export.int8 import num_bytes
from tflm.export.keras_hub_modules import HubModule

CARD_FILE = "model_card.json"
_PACKAGES = ("tflm", "tensorflow", "tensorflow-text", "keras", "keras-hub")


def card(task: Any, module: HubModule) -> dict[str, str]:
    """The files that go beside an exported task, by name: what it is, and what it cuts.

    How good it is nobody here knows: `evaluation` is empty.

    Args:
        task: a KerasHub task.
        module: its graph.
    """
    found = {
        "task": module.TASK,
        "model": {
            "architecture": type(task).__name__,
            "config": _plain(keras.saving.serialize_keras_object(task.backbone)["config"]),
            "parameters": task.count_params(),
            **module.settings(),
        },
        "licence": None,
        "weights": {
            "dtype": task.dtype_policy.variable_dtype,
            "bytes": sum(num_bytes(weight) for weight in task.weights),
            "float32_bytes": 4 * task.count_params(),
        },
        "training": {},
        "limits": module.limits(),
        "evaluation": None,
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in _PACKAGES},
        },
    }
    return {CARD_FILE: json.dumps(found, ensure_ascii=False, indent=2) + "\n"}


def _plain(config: dict[str, Any]) -> dict[str, Any]:
    """Numbers, strings and lists of them: what is nested is a layer's."""
    plain = (str, int, float, type(None))

    def is_plain(value: Any) -> bool:
        parts = value if isinstance(value, (list, tuple)) else [value]
        return all(isinstance(part, plain) for part in parts)

    return {name: value for name, value in config.items() if is_plain(value)}
