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
