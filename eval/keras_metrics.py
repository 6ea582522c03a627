"""Metrics that Keras updates batch by batch, for `model.compile(weighted_metrics=[...])`.

    model.compile(optimizer, loss, weighted_metrics=[TokenPerplexity(), TokenAccuracy()])

Given to `weighted_metrics`, a metric gets the `sample_weight` of the batch, in which padding is 0;
Keras gives none to those in `metrics`, where `ignore_id` leaves padding out. All sums are float32
whatever the dtype policy, start at 0 in every epoch, and are divided once, at the end: the result
does not depend on how the data is cut into batches. Legend: B batch, T tokens or positions of a
context, V vocabulary, C labels.
"""

from typing import Any

import keras
from keras import ops

_LEAST = 1e-37  # of a probability, where float32 ends
_AVERAGES = ("macro", "micro", "weighted")


class _Sums(keras.metrics.Metric):
    """A metric that is a function of two running sums, a numerator and a total weight."""

    # What `mode="auto"` of Keras's callbacks reads.
    _direction = "up"

    def __init__(self, name: str, dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype or "float32")
        self.total = self.add_variable((), "zeros", dtype="float32", name="total")
        self.weight = self.add_variable((), "zeros", dtype="float32", name="weight")

    def _add(self, values: Any, weights: Any) -> None:
        """Add values and weights of the same shape; a value of weight 0 may be anything."""
        values = ops.where(weights > 0, values * weights, ops.zeros_like(values))
        self.total.assign_add(ops.sum(values))
        self.weight.assign_add(ops.sum(weights))

    def _mean(self) -> Any:
        # 0 before the first example, as in keras.metrics.Mean.
        is_empty = ops.equal(self.weight, 0.0)
        return ops.where(is_empty, 0.0, self.total / ops.where(is_empty, 1.0, self.weight))


class _TokenMetric(_Sums):
    """A mean over the tokens that are neither padding nor masked."""

    def __init__(self, name: str, ignore_id: int | None, dtype: Any) -> None:
        super().__init__(name, dtype)
        self.ignore_id = ignore_id

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "ignore_id": self.ignore_id}

    def _labels_and_weights(self, y_true: Any, sample_weight: Any) -> tuple[Any, Any]:
        labels = ops.cast(y_true, "int32")
        weights = _weights(sample_weight, labels)
        if self.ignore_id is not None:
            weights = ops.where(ops.equal(labels, self.ignore_id), 0.0, weights)
        return labels, weights


@keras.saving.register_keras_serializable("tflm")
class TokenPerplexity(_TokenMetric):
    """Perplexity by the token: exp of the weighted mean cross-entropy of all tokens so far.

    Equal to `tflm.eval.Perplexity` on the same tokens, however uneven the batches.

    Args:
        from_logits: Whether `y_pred` holds logits; False for probabilities.
        ignore_id: A label that does not count, such as the padding id. None counts all.
        name: Key in the logs.
        dtype: Dtype of the result; sums are float32.

    Call arguments:
        y_true: labels `(B, T)`.
        y_pred: logits or probabilities `(B, T, V)`.
        sample_weight: `(B, T)` or `(B,)`, 0 where there is no token.
    """

    _direction = "down"

    def __init__(
        self,
        *,
        from_logits: bool = True,
        ignore_id: int | None = None,
        name: str = "perplexity",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, ignore_id, dtype)
        self.from_logits = from_logits

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch."""
        labels, weights = self._labels_and_weights(y_true, sample_weight)
        # A label to ignore may be outside the vocabulary, -1 say.
        labels = ops.where(weights > 0, labels, ops.zeros_like(labels))
        predictions = ops.reshape(ops.cast(y_pred, "float32"), (-1, y_pred.shape[-1]))
        if self.from_logits:
            # One pass over the vocabulary, where a log-sum-exp is five.
            predictions = ops.softmax(predictions)
        picked = ops.take_along_axis(predictions, ops.reshape(labels, (-1, 1)), axis=-1)
        least = _LEAST if self.from_logits else keras.config.epsilon()
        losses = -ops.log(ops.maximum(picked, least))  # (B * T, 1)
        self._add(ops.reshape(losses, ops.shape(labels)), weights)

    def result(self) -> Any:
        """Return the perplexity."""
        return ops.exp(self._mean())

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "from_logits": self.from_logits}


@keras.saving.register_keras_serializable("tflm")
class TokenAccuracy(_TokenMetric):
    """Share of tokens, from 0 to 1, whose label has the highest prediction.

    Args:
        ignore_id: A label that does not count, such as the padding id. None counts all.
        name: Key in the logs.
        dtype: Dtype of the result; sums are float32.

    Call arguments:
        y_true: labels `(B, T)`.
        y_pred: logits or probabilities `(B, T, V)`.
        sample_weight: `(B, T)` or `(B,)`, 0 where there is no token.
    """

    def __init__(
        self, *, ignore_id: int | None = None, name: str = "token_accuracy", dtype: Any = None
    ) -> None:
        super().__init__(name, ignore_id, dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch."""
        labels, weights = self._labels_and_weights(y_true, sample_weight)
        is_right = ops.equal(labels, ops.cast(ops.argmax(y_pred, axis=-1), "int32"))
        self._add(ops.cast(is_right, "float32"), weights)

    def result(self) -> Any:
        """Return the accuracy."""
        return self._mean()


@keras.saving.register_keras_serializable("tflm")
class SpanExactMatch(_Sums):
    """Share of questions, from 0 to 1, of which both ends of the answer are predicted right.

    It compares positions. A corpus's exact match compares text, hence is this or higher: the same
    words may also stand elsewhere in a context.

    Args:
        name: Key in the logs.
        dtype: Dtype of the result; sums are float32.

    Call arguments:
        y_true: first and last position of each answer, `(B, 2)`.
        y_pred: logits or probabilities of being first and last, `(B, T, 2)`.
        sample_weight: `(B,)`.
    """

    def __init__(self, *, name: str = "span_exact_match", dtype: Any = None) -> None:
        super().__init__(name, dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch."""
        ends = ops.cast(ops.argmax(y_pred, axis=1), "int32")  # (B, 2)
        is_right = ops.all(ops.equal(ops.cast(y_true, "int32"), ends), axis=-1)  # (B,)
        values = ops.cast(is_right, "float32")
        self._add(values, _weights(sample_weight, values))

    def result(self) -> Any:
        """Return the share."""
        return self._mean()


@keras.saving.register_keras_serializable("tflm")
class F1Score(keras.metrics.Metric):
    """F1 of integer labels, from 0 to 1, equal to `tflm.eval.F1` on the same examples.

    `keras.metrics.F1Score` wants one-hot labels; this takes what
    `SparseCategoricalCrossentropy` takes.

    Args:
        num_labels: Number of labels C.
        average: "macro" is the mean over labels, "weighted" that mean weighted by how often a label
            is true, "micro" counts all labels together.
        name: Key in the logs. None is `"f1_macro"` with the average.
        dtype: Dtype of the result; counts are float32, exact up to 16,777,216 examples of a label.

    Call arguments:
        y_true: labels `(B,)`, `(B, 1)`, or `(B, T)` for a label of each token.
        y_pred: logits or probabilities `(B, C)` or `(B, T, C)`.
        sample_weight: of the shape of the labels, or `(B,)`.

    Raises:
        ValueError: When `num_labels` is below 2, or `average` is unknown.
    """

    _direction = "up"

    def __init__(
        self,
        num_labels: int,
        *,
        average: str = "macro",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        if num_labels < 2:
            raise ValueError(f"`num_labels` must be 2 or more. Received: num_labels={num_labels}")
        if average not in _AVERAGES:
            raise ValueError(
                f"`average` must be one of {', '.join(_AVERAGES)}. Received: average={average!r}"
            )
        super().__init__(name=name or f"f1_{average}", dtype=dtype or "float32")
        self.num_labels = num_labels
        self.average = average
        shape = (num_labels,)
        self.both = self.add_variable(shape, "zeros", dtype="float32", name="both")
        self.predicted = self.add_variable(shape, "zeros", dtype="float32", name="predicted")
        self.true = self.add_variable(shape, "zeros", dtype="float32", name="true")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch."""
        chosen = ops.argmax(y_pred, axis=-1)  # (B,) or (B, T)
        labels = ops.reshape(ops.cast(y_true, "int32"), ops.shape(chosen))
        weights = ops.reshape(_weights(sample_weight, labels), (-1, 1))
        true = ops.one_hot(ops.reshape(labels, (-1,)), self.num_labels, dtype="float32")
        predicted = ops.one_hot(ops.reshape(chosen, (-1,)), self.num_labels, dtype="float32")
        self.both.assign_add(ops.sum(weights * true * predicted, axis=0))
        self.predicted.assign_add(ops.sum(weights * predicted, axis=0))
        self.true.assign_add(ops.sum(weights * true, axis=0))

    def result(self) -> Any:
        """Return F1; a label that is neither true nor predicted has 0."""
        both, predicted, true = (
            ops.convert_to_tensor(counts) for counts in (self.both, self.predicted, self.true)
        )
        if self.average == "micro":
            both, predicted, true = ops.sum(both), ops.sum(predicted), ops.sum(true)
        scores = _divide(2.0 * both, predicted + true)
        if self.average == "micro":
            return scores
        if self.average == "macro":
            return ops.mean(scores)
        return _divide(ops.sum(scores * true), ops.sum(true))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "num_labels": self.num_labels,
            "average": self.average,
        }


def _divide(numerator: Any, denominator: Any) -> Any:
    """Return the quotient, 0 where the denominator is 0."""
    is_empty = ops.equal(denominator, 0.0)
    return ops.where(is_empty, 0.0, numerator / ops.where(is_empty, 1.0, denominator))


def _weights(sample_weight: Any, like: Any) -> Any:
    """Return float32 weights of the shape of `like`; those of examples spread over their tokens."""
    if sample_weight is None:
        return ops.ones(ops.shape(like), dtype="float32")
    weights = ops.cast(sample_weight, "float32")
    while len(weights.shape) < len(like.shape):
        weights = ops.expand_dims(weights, -1)
    if len(weights.shape) > len(like.shape):
        weights = ops.squeeze(weights, -1)
    return ops.broadcast_to(weights, ops.shape(like))
