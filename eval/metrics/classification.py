"""Accuracy; Matthews correlation and the confusion matrix, computed by scikit-learn.

    Accuracy(["negative", "positive"]).score(predicted, true).value

Values are on a scale of 1, as scikit-learn's and Keras's are. Legend: E examples, C labels.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tflm.eval.metrics.base import Score, summed
from tflm.eval.metrics.examples import check_lengths
from tflm.eval.metrics.label_metric import LabelMetric, sklearn_metrics, sklearn_signature
from tflm.eval.metrics.labels import check_labels, label_indices, predicted_indices


class Accuracy(LabelMetric):
    """Share of examples, from 0 to 1, whose label is right.

        >>> Accuracy(["负面", "正面"]).score(["正面", "正面"], ["正面", "负面"]).value
        0.5

    Args:
        labels: The labels of the task, in the order of the model's outputs.
        multi_label: Compare collections of labels, which are right when they are equal as sets
            (subset accuracy).
        name: Key of the scores.

    Raises:
        TypeError: When a label is not a string.
        ValueError: When there are fewer than two labels, or one occurs twice.
    """

    def __init__(
        self, labels: Sequence[str], *, multi_label: bool = False, name: str = "accuracy"
    ) -> None:
        super().__init__(labels, name, "Accuracy", multi_label=multi_label)

    def statistics(self, hypotheses: Sequence[Any], references: Sequence[Any]) -> np.ndarray:
        """Return (E, 2): whether the label is right, and 1."""
        predicted, true = self.encoded_pairs(hypotheses, references)
        is_right = predicted == true
        if self.multi_label:
            is_right = is_right.all(axis=1)
        return np.stack([is_right, np.ones(len(is_right))], axis=1)

    def score_statistics(self, statistics: np.ndarray) -> Score:
        """Score rows (E, 2), or their sum (2,).

        Raises:
            ValueError: When the statistics are those of no example.
        """
        right, num_examples = summed(statistics).tolist()
        kind = "subset" if self.multi_label else ""
        signature = "|".join(filter(None, (f"labels:{len(self.labels)}", kind)))
        return self.scored(right / max(num_examples, 1), num_examples, signature)


class MatthewsCorrelation(LabelMetric):
    """Correlation of predicted and true labels, -1 to 1, equal to
    `sklearn.metrics.matthews_corrcoef`; 0 where only one label is true or predicted.

    Args:
        labels: The labels of the task, in the order of the model's outputs.
        name: Key of the scores.

    Raises:
        TypeError: When a label is not a string.
        ValueError: When there are fewer than two labels, or one occurs twice.
    """

    def __init__(self, labels: Sequence[str], *, name: str = "mcc") -> None:
        super().__init__(labels, name, "MCC")

    def statistics(self, hypotheses: Sequence[Any], references: Sequence[Any]) -> np.ndarray:
        """Return (E, C * C + 1): the confusion matrix of each example, row by row, and 1."""
        predicted, true = self.encoded_pairs(hypotheses, references)
        size = len(self.labels)
        rows = np.zeros((len(true), size * size + 1))
        rows[np.arange(len(true)), true * size + predicted] = 1
        rows[:, -1] = 1
        return rows

    def score_statistics(self, statistics: np.ndarray) -> Score:
        """Score rows (E, C * C + 1), or their sum.

        Raises:
            ValueError: When the statistics are those of no example.
            ImportError: When scikit-learn is not installed.
        """
        total = summed(statistics)
        true, predicted = np.divmod(np.arange(len(self.labels) ** 2), len(self.labels))
        value = sklearn_metrics().matthews_corrcoef(true, predicted, sample_weight=total[:-1])
        return self.scored(value, total[-1], sklearn_signature(f"labels:{len(self.labels)}"))


def confusion_matrix(
    hypotheses: Sequence[Any], references: Sequence[str], labels: Sequence[str]
) -> np.ndarray:
    """Return how often each label (row) was predicted as each label (column), (C, C) int64.

    Args:
        hypotheses: Labels, or probabilities of the labels, of which the highest counts.
        references: The true labels.
        labels: The labels of the task, in the order of rows and columns.

    Raises:
        TypeError: When a label is not a string.
        ValueError: When there is no example, the numbers differ, or a label is unknown.
        ImportError: When scikit-learn is not installed.
    """
    labels = check_labels(labels)
    predicted, true = (
        predicted_indices(hypotheses, labels),
        label_indices("references", references, labels),
    )
    check_lengths("hypotheses", predicted, true)
    return sklearn_metrics().confusion_matrix(true, predicted, labels=range(len(labels)))
