"""What the classification metrics share: labels become numbers.

Hypotheses are labels, or the probabilities of the labels; references are labels. With `multi_label`
both are collections of labels. Legend: E examples, C labels.
"""

import importlib
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from tflm.eval.metrics.base import Metric, Score, check_count
from tflm.eval.metrics.examples import check_lengths
from tflm.eval.metrics.labels import check_labels, label_indices, label_sets, predicted_indices


def sklearn_metrics() -> Any:
    """Return the module `sklearn.metrics`.

    Raises:
        ImportError: When scikit-learn is not installed.
    """
    try:
        return importlib.import_module("sklearn.metrics")
    except ImportError:
        raise ImportError(
            "classification metrics need scikit-learn, which is not installed: "
            "pip install 'tflm[eval]'"
        ) from None


def sklearn_signature(*parts: str) -> str:
    """Return the settings of a score, ended by the version of scikit-learn.

    Raises:
        ImportError: When scikit-learn is not installed.
    """
    sklearn_metrics()
    version = importlib.import_module("sklearn").__version__
    return "|".join([*filter(None, parts), f"scikit-learn:{version}"])


def label_score(
    metric: Metric, label: str, value: float, num_examples: float, signature: str, **parts: Any
) -> Score:
    """Return a score of a metric on a scale of 1.

    Raises:
        ValueError: When there is no example.
    """
    return Score(
        name=metric.name,
        label=label,
        value=float(value),
        num_examples=check_count(num_examples),
        signature=signature,
        higher_is_better=metric.higher_is_better,
        digits=4,
        **parts,
    )


class LabelMetric(Metric):
    """Base of the metrics that compare labels; the last statistic of a row is 1.

    Args:
        labels: The labels of the task, in the order of the model's outputs.
        name: Key of the scores.
        label: The name in print.
        multi_label: Whether an example has any number of labels; hypotheses and references are then
            collections of labels.

    Raises:
        TypeError: When a label is not a string.
        ValueError: When there are fewer than two labels, with `multi_label` than one, or one
            occurs twice.
    """

    def __init__(
        self, labels: Sequence[str], name: str, label: str, *, multi_label: bool = False
    ) -> None:
        super().__init__(name)
        self.labels = check_labels(labels, least=1 if multi_label else 2)
        self.multi_label = multi_label
        self._label = label

    def check_references(
        self, references: Sequence[str] | Sequence[Collection[str]]
    ) -> Sequence[str] | Sequence[Collection[str]]:
        """Return the references after checking that every label is known.

        Raises:
            TypeError: When one is not a label, or with `multi_label` not a collection of labels.
            ValueError: When there is none, or a label is not among the labels of the task.
        """
        self._encoded("references", references)
        return references

    def _encoded(self, argument: str, values: Sequence[Any]) -> np.ndarray:
        """Return label numbers (E,), or with `multi_label` the present labels (E, C)."""
        if self.multi_label:
            return label_sets(argument, values, self.labels)
        if argument == "hypotheses":
            return predicted_indices(values, self.labels)
        return label_indices(argument, values, self.labels)

    def encoded_pairs(
        self, hypotheses: Sequence[Any], references: Sequence[Any]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return what is predicted and what is true: label numbers (E,), or with `multi_label`
        whether each label is present (E, C) bool.

        Raises:
            TypeError: When an example is of the wrong type.
            ValueError: When there is no example, the numbers differ, or a label is unknown.
        """
        predicted = self._encoded("hypotheses", hypotheses)
        true = self._encoded("references", references)
        check_lengths("hypotheses", predicted, true)
        return predicted, true

    def scored(self, value: float, num_examples: float, signature: str, **parts: Any) -> Score:
        """Return a score on a scale of 1.

        Raises:
            ValueError: When there is no example.
        """
        return label_score(self, self._label, value, num_examples, signature, **parts)
