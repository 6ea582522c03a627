"""Learning-rate schedules."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("tflm")
class InverseSquareRoot(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up, then decay with the inverse square root of the step.

    Vaswani et al. 2017, equation 3, written with its peak: at step `s >= 1`,

        rate = peak * min(s / warmup_steps, sqrt(warmup_steps / s))

    The paper's base model has `peak = hidden_dim ** -0.5 * warmup_steps ** -0.5`.

    Args:
        peak: the rate at the end of warm-up.
        warmup_steps: number of updates up to the peak.

    Raises:
        ValueError: `peak` is not positive, or `warmup_steps` is less than 1.
    """

    def __init__(self, peak: float, warmup_steps: int = 4000):
        if peak <= 0:
            raise ValueError(f"`peak` must be positive. Received: peak={peak}")
        if warmup_steps < 1:
            raise ValueError(
                f"`warmup_steps` must be at least 1. Received: warmup_steps={warmup_steps}"
            )
        self.peak = float(peak)
        self.warmup_steps = int(warmup_steps)

    def __call__(self, step: Any) -> Any:
        """The rate of the update after `step` updates, a float32 scalar."""
        update = ops.cast(step, "float32") + 1.0
        warmup = float(self.warmup_steps)
        return self.peak * ops.minimum(update / warmup, ops.sqrt(warmup / update))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"peak": self.peak, "warmup_steps": self.warmup_steps}


@keras.saving.register_keras_serializable("tflm")
class PerUpdate(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule of updates for an optimizer that makes one of several batches.

    With `gradient_accumulation_steps` Keras's optimizers tell a schedule how many batches there
    were.

    Args:
        schedule: the rate by the number of updates done.
        batches: batches to an update.
    """

    def __init__(self, schedule: Any, batches: int):
        self.schedule = schedule
        self.batches = batches

    def __call__(self, step: Any) -> Any:
        """The rate after `step` batches."""
        return self.schedule(ops.floor_divide(step, self.batches))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        schedule = keras.saving.serialize_keras_object(self.schedule)
        return {"schedule": schedule, "batches": self.batches}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "PerUpdate":
        """The inverse of `get_config`."""
        return cls(keras.saving.deserialize_keras_object(config["schedule"]), config["batches"])
