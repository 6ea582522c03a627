"""Cross-entropy of labels that are there or not, each on its own. `B` texts, `L` labels."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("tflm")
class LabelCrossEntropy(keras.losses.Loss):
    """Binary cross-entropy of logits, averaged over weighted labels.

    With label smoothing `e` the target of a label is `1 - e / 2` where it is there and `e / 2`
    where it is not.

    Args:
        label_smoothing: `e`, in `[0, 1)`.

    Call arguments:
        y_true: 0s and 1s `(B, L)`.
        y_pred: logits `(B, L)`.
        sample_weight: `(B, L)` or `(B,)`.

    Raises:
        ValueError: `label_smoothing` is outside `[0, 1)`.
    """

    def __init__(self, label_smoothing: float = 0.0, name: str = "label_cross_entropy"):
        if not 0.0 <= label_smoothing < 1.0:
            raise ValueError(
                f"`label_smoothing` must be in [0, 1). Received: label_smoothing={label_smoothing}"
            )
        super().__init__(name=name, reduction="mean_with_sample_weight", dtype="float32")
        self.label_smoothing = label_smoothing

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"label_smoothing": self.label_smoothing, "name": self.name}

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The weighted mean loss over labels, a float32 scalar."""
        losses = self.call(y_true, y_pred)  # (B, L)
        if sample_weight is None:
            return ops.mean(losses)
        weights = ops.cast(sample_weight, "float32")
        weights = weights[:, None] if len(weights.shape) == 1 else weights
        weights = ops.broadcast_to(weights, ops.shape(losses))
        return ops.sum(losses * weights) / ops.maximum(ops.sum(weights), 1e-9)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Labels and logits `(B, L)` -> float32 losses `(B, L)`."""
        logits = ops.cast(y_pred, "float32")
        targets = ops.cast(y_true, "float32")
        targets = targets * (1.0 - self.label_smoothing) + 0.5 * self.label_smoothing
        # log(1 + e^z) - z t, of which no part overflows.
        return ops.softplus(logits) - logits * targets
