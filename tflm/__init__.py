"""Text models for Keras and TensorFlow: raw text, `model.fit`, BLEU, one SavedModel.

Sub-packages load on first use, so `import tflm` imports neither Keras nor TensorFlow. It sets what
TensorFlow is to read of the environment, see `tflm.machine.prepare_tensorflow`.
"""

import importlib
import types

from tflm import machine

__version__ = "0.1.0"

_PACKAGES = (
    "checkpoints",
    "data",
    "eval",
    "export",
    "generation",
    "layers",
    "models",
    "serving",
    "tasks",
    "tokenizers",
    "training",
)

machine.prepare_tensorflow()


def __getattr__(name: str) -> types.ModuleType:
    if name in _PACKAGES:
        return importlib.import_module(f"tflm.{name}")
    raise AttributeError(
        f"`tflm` has no attribute {name!r}; its packages are {', '.join(_PACKAGES)}"
    )


def __dir__() -> list[str]:
    return sorted([*globals(), *_PACKAGES])
