"""How good the probabilities of a classifier are: AUROC, calibration error, Brier score.

Hypotheses are probabilities, one for each label in the order of `labels`; references are labels.
Values are on a scale of 1. Legend: E examples, C labels, M bins.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tflm.eval.metrics.base import Metric, Score, check_rows, summed
from tflm.eval.metrics.examples import check_lengths
from tflm.eval.metrics.label_metric import label_score, sklearn_metrics, sklearn_signature
from tflm.eval.metrics.labels import check_labels, check_probabilities, label_indices


class ProbabilityMetric(Metric):
    """Base of the metrics that judge probabilities.

    Args:
        labels: The labels of the task, in the order of the probabilities.
        name: Key of the scores.
        label: The name in print.
        higher_is_better: False for errors.
        adds: Whether statistics sum.

    Raises:
        TypeError: When a label is not a string.
        ValueError: When there are fewer than two labels, or one occurs twice.
    """

    def __init__(
        self,
        labels: Sequence[str],
        name: str,
        label: str,
        *,
        higher_is_better: bool = False,
        adds: bool = True,
    ) -> None:
        super().__init__(name, higher_is_better=higher_is_better, adds=adds)
        self.labels = check_labels(labels)
        self._label = label

    def check_references(self, references: Sequence[str]) -> Sequence[str]:
        """Return the references after checking that every label is known.

        Raises:
            TypeError: When one is not a string.
            ValueError: When there is none, or one is not among the labels of the task.
        """
        label_indices("references", references, self.labels)
        return references

    def _pairs(
        self, hypotheses: Sequence[Any], references: Sequence[str]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return probabilities (E, C) and the numbers of the true labels (E,)."""
        probabilities = check_probabilities(hypotheses, self.labels)
        true = label_indices("references", references, self.labels)
        check_lengths("hypotheses", probabilities, true)
        return probabilities, true

    def _score(self, value: float, num_examples: float, signature: str, **components: Any) -> Score:
        return label_score(self, self._label, value, num_examples, signature, **components)


class AUROC(ProbabilityMetric):
    """Area under the ROC curve, equal to `sklearn.metrics.roc_auc_score`.

    Two labels: the chance that a random example of the second label has a higher probability of it
    than one of the first. More labels: the mean over labels of each against the rest. It orders the
    examples, so its statistics do not sum. Where a label of the task has no example, or is that of
    all, the curve is not defined and the value is `nan`.

    Args:
        labels: The labels of the task, in the order of the probabilities.
        name: Key of the scores.

    Raises:
        TypeError: When a label is not a string.
        ValueError: When there are fewer than two labels, or one occurs twice.
    """

    def __init__(self, labels: Sequence[str], *, name: str = "auroc") -> None:
        super().__init__(labels, name, "AUROC", higher_is_better=True, adds=False)

    def statistics(self, hypotheses: Sequence[Any], references: Sequence[str]) -> np.ndarray:
        """Return (E, C + 1): the probabilities and the number of the true label."""
        probabilities, true = self._pairs(hypotheses, references)
        return np.concatenate([probabilities, true[:, None]], axis=1)

    def score_statistics(self, statistics: np.ndarray) -> Score:
        """Score rows (E, C + 1).

        Raises:
            ValueError: When the statistics are a sum, or those of no example.
            ImportError: When scikit-learn is not installed.
        """
        rows = check_rows(statistics)
        probabilities, true = rows[:, :-1], rows[:, -1].astype(np.int64)
        size = len(self.labels)
        value = float("nan")
        if len(np.unique(true)) == size:
            roc_auc_score = sklearn_metrics().roc_auc_score
            if size == 2:
                value = roc_auc_score(true, probabilities[:, 1])
            else:
                value = roc_auc_score(true, probabilities, multi_class="ovr", labels=range(size))
        kind = "" if size == 2 else "average:macro|one-vs-rest"
        return self._score(value, len(rows), sklearn_signature(kind, f"labels:{size}"))


class CalibrationError(ProbabilityMetric):
    """Expected calibration error (Guo et al. 2017, equation 3), 0 to 1: how far confidence is from
    accuracy, over equally wide bins of the highest probability, weighted by their examples.

    Args:
        labels: The labels of the task, in the order of the probabilities.
        num_bins: Number of bins M; bin m holds confidences in ((m - 1) / M, m / M].
        name: Key of the scores.

    Raises:
        TypeError: When a label is not a string.
        ValueError: When there are fewer than two labels, one occurs twice, or `num_bins` is not
            positive.
    """

    def __init__(self, labels: Sequence[str], *, num_bins: int = 15, name: str = "ece") -> None:
        if num_bins < 1:
            raise ValueError(f"`num_bins` must be positive. Received: num_bins={num_bins}")
        super().__init__(labels, name, "ECE")
        self.num_bins = num_bins

    def statistics(self, hypotheses: Sequence[Any], references: Sequence[str]) -> np.ndarray:
        """Return (E, 3 M): for each bin whether the example is in it, its confidence, and whether
        it is right.
        """
        probabilities, true = self._pairs(hypotheses, references)
        confidence = probabilities.max(axis=1)  # (E,)
        edges = np.linspace(0, 1, self.num_bins + 1)
        bins = np.searchsorted(edges, confidence, side="left") - 1
        bins = np.clip(bins, 0, self.num_bins - 1)
        rows = np.zeros((len(true), 3, self.num_bins))
        is_right = probabilities.argmax(axis=1) == true
        values = np.stack([np.ones(len(true)), confidence, is_right], axis=1)  # (E, 3)
        rows[np.arange(len(true)), :, bins] = values
        return rows.reshape(len(true), -1)

    def score_statistics(self, statistics: np.ndarray) -> Score:
        """Score rows (E, 3 M), or their sum; components are the mean confidence and the accuracy.

        Raises:
            ValueError: When the statistics are those of no example.
        """
        counts, confidence, right = summed(statistics).reshape(3, self.num_bins)
        num_examples = max(counts.sum(), 1)
        return self._score(
            np.abs(confidence - right).sum() / num_examples,
            counts.sum(),
            f"bins:{self.num_bins}|width:equal|norm:l1|labels:{len(self.labels)}",
            components={
                "confidence": float(confidence.sum() / num_examples),
                "accuracy": float(right.sum() / num_examples),
            },
        )

    def reliability(self, statistics: np.ndarray) -> np.ndarray:
        """Return the reliability diagram (M, 3): examples, mean confidence and accuracy of each
        bin, `nan` for the means of an empty one.
        """
        counts, confidence, right = summed(statistics).reshape(3, self.num_bins)
        size = np.where(counts > 0, counts, np.nan)
        return np.stack([counts, confidence / size, right / size], axis=1)


class BrierScore(ProbabilityMetric):
    """Mean squared distance of the probabilities from the truth (Brier 1950), equal to
    `sklearn.metrics.brier_score_loss`: 0 to 1 with two labels, where it is halved, else 0 to 2.

    Args:
        labels: The labels of the task, in the order of the probabilities.
        name: Key of the scores.

    Raises:
        TypeError: When a label is not a string.
        ValueError: When there are fewer than two labels, or one occurs twice.
    """

    def __init__(self, labels: Sequence[str], *, name: str = "brier") -> None:
        super().__init__(labels, name, "Brier")

    def statistics(self, hypotheses: Sequence[Any], references: Sequence[str]) -> np.ndarray:
        """Return (E, 2): the squared distance, and 1."""
        probabilities, true = self._pairs(hypotheses, references)
        distances = np.square(probabilities - np.eye(len(self.labels))[true]).sum(axis=1)
        if len(self.labels) == 2:
            distances = distances / 2
        return np.stack([distances, np.ones(len(true))], axis=1)

    def score_statistics(self, statistics: np.ndarray) -> Score:
        """Score rows (E, 2), or their sum (2,).

        Raises:
            ValueError: When the statistics are those of no example.
        """
        total, num_examples = summed(statistics).tolist()
        halved = "halved" if len(self.labels) == 2 else ""
        signature = "|".join(filter(None, (f"labels:{len(self.labels)}", halved)))
        return self._score(total / max(num_examples, 1), num_examples, signature)
