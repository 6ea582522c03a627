"""Cross-entropy over a vocabulary, on integer labels, with label smoothing.

`N` positions, `V` vocabulary. The smoothed target of Szegedy et al. 2016 (section 7), `1 - e` on
the label and `e / V` on every token, is never built: with logits `z`, label `y` and `lse` the
log-sum-exp of `z`,

    loss     = lse - (1 - e) * z[y] - e * mean(z) = -log softmax(z)[y] + e * (z[y] - mean(z))
    gradient = softmax(z) - e / V - (1 - e) * [v == y]
"""

from typing import Any

import keras
from keras import ops


def _smoothed_cross_entropy(label_smoothing: float) -> Any:
    @ops.custom_gradient
    def cross_entropy(logits: Any, labels: Any) -> Any:
        """Logits `(N, V)`, labels `(N,)` -> float32 loss `(N,)`."""
        rows = ops.arange(ops.shape(labels)[0], dtype=labels.dtype)
        where = ops.stack([rows, labels], axis=-1)  # (N, 2)
        probabilities = ops.softmax(logits, axis=-1)  # (N, V)
        picked = ops.take_along_axis(logits, labels[:, None], axis=-1)[:, 0]
        likelihood = ops.take_along_axis(probabilities, labels[:, None], axis=-1)[:, 0]
        # With lse = z[y] - log p[y] the z[y] cancels. Below the floor the loss no longer grows,
        # the gradient stays right.
        loss = -ops.log(ops.maximum(ops.cast(likelihood, "float32"), 1e-37))
        if label_smoothing:
            average = ops.cast(ops.mean(logits, axis=-1), "float32")
            loss = loss + label_smoothing * (ops.cast(picked, "float32") - average)

        def gradient(*upstream: Any, **_: Any) -> tuple[Any, None]:
            g = ops.cast(upstream[-1], logits.dtype)
            uniform = label_smoothing / logits.shape[-1]
            scaled = (probabilities - ops.cast(uniform, logits.dtype)) * g[:, None]  # (N, V)
            at_label = ops.take_along_axis(scaled, labels[:, None], axis=-1)[:, 0]
            at_label = at_label - ops.cast(1.0 - label_smoothing, logits.dtype) * g
            return ops.scatter_update(scaled, where, at_label), None

        return loss, gradient

    return cross_entropy


@keras.saving.register_keras_serializable("tflm")
class SmoothedCrossEntropy(keras.losses.Loss):
    """Label-smoothed cross-entropy from logits and integer labels, averaged over weighted tokens.

    Args:
        label_smoothing: `e` above, in `[0, 1)`.

    Call arguments:
        y_true: integer labels `(B, T)`.
        y_pred: logits `(B, T, V)`.
        sample_weight: `(B, T)`, 0 where there is no token.

    Raises:
        ValueError: `label_smoothing` is outside `[0, 1)`.
    """

    def __init__(self, label_smoothing: float = 0.1, name: str = "smoothed_cross_entropy"):
        if not 0.0 <= label_smoothing < 1.0:
            raise ValueError(
                f"`label_smoothing` must be in [0, 1). Received: label_smoothing={label_smoothing}"
            )
        super().__init__(name=name, reduction="mean_with_sample_weight", dtype="float32")
        self.label_smoothing = label_smoothing
        self._cross_entropy = _smoothed_cross_entropy(label_smoothing)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"label_smoothing": self.label_smoothing, "name": self.name}

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The weighted mean loss over tokens, a float32 scalar."""
        losses = self.call(y_true, y_pred)  # (B, T)
        if sample_weight is None:
            return ops.mean(losses)
        weights = ops.cast(sample_weight, "float32")
        return ops.sum(losses * weights) / ops.maximum(ops.sum(weights), 1e-9)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Labels `(B, T)`, logits `(B, T, V)` -> float32 losses `(B, T)`."""
        logits = ops.reshape(y_pred, (-1, y_pred.shape[-1]))  # (N, V)
        labels = ops.cast(ops.reshape(y_true, (-1,)), "int32")  # (N,)
        return ops.reshape(self._cross_entropy(logits, labels), ops.shape(y_true))
