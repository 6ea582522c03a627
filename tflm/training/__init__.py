"""Losses, schedules, checkpoints, averaging, progress: what `fit` takes from outside a model."""

from tflm.training.checkpoint import Checkpoint, Interrupted, KeepLastWeights
from tflm.training.fine_tuning import GradualUnfreezing, LayerwiseAdamW, depths
from tflm.training.label_losses import LabelCrossEntropy
from tflm.training.losses import SmoothedCrossEntropy
from tflm.training.progress import ProgressBar
from tflm.training.schedules import InverseSquareRoot
from tflm.training.weights import (
    average_weights,
    load_weights,
    moving_average,
    save_weights,
    set_weights,
)

__all__ = [
    "Checkpoint",
    "GradualUnfreezing",
    "Interrupted",
    "InverseSquareRoot",
    "KeepLastWeights",
    "LabelCrossEntropy",
    "LayerwiseAdamW",
    "ProgressBar",
    "SmoothedCrossEntropy",
    "average_weights",
    "depths",
    "load_weights",
    "moving_average",
    "save_weights",
    "set_weights",
]
