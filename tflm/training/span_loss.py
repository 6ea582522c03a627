"""Cross-entropy of the two ends of a span. `B` windows of text, `T` places in each."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("tflm")
class SpanCrossEntropy(keras.losses.Loss):
    """The mean of the cross-entropies of a span's first and last place, over weighted windows.

    Call arguments:
        y_true: first and last place, integers `(B, 2)`.
        y_pred: logits of first and last `(B, T, 2)`.
        sample_weight: `(B,)` or `(B, 1)`.
    """

    def __init__(self, name: str = "span_cross_entropy"):
        super().__init__(name=name, reduction="mean_with_sample_weight", dtype="float32")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"name": self.name}

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The weighted mean loss over windows, a float32 scalar."""
        losses = self.call(y_true, y_pred)  # (B,)
        if sample_weight is None:
            return ops.mean(losses)
        weights = ops.reshape(ops.cast(sample_weight, "float32"), (-1,))  # (B,)
        return ops.sum(losses * weights) / ops.maximum(ops.sum(weights), 1e-9)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Places `(B, 2)` and logits `(B, T, 2)` -> float32 losses `(B,)`."""
        logits = ops.cast(y_pred, "float32")
        places = ops.cast(y_true, "int32")[:, None]  # (B, 1, 2)
        picked = ops.take_along_axis(logits, places, axis=1)[:, 0]  # (B, 2)
        return ops.mean(ops.logsumexp(logits, axis=1) - picked, axis=-1)
