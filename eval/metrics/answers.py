"""What the question-answering metrics share: a predicted answer is compared with each gold answer
of its question, the best comparison counts, and the score is the mean over questions, times 100.
"""

import abc
import collections
from collections.abc import Sequence
from typing import Any

import numpy as np

from tflm.eval.metrics.base import Metric, Score, check_count, summed
from tflm.eval.metrics.examples import References, check_pairs


class AnswerMetric(Metric):
    """Mean over questions of the best agreement with one of the gold answers, from 0 to 100.

    Args:
        name: Key of the scores.
        label: The name in print.
        signature: The settings, for the score.
    """

    def __init__(self, name: str, label: str, signature: str) -> None:
        super().__init__(name)
        self._label = label
        self._signature = signature

    @abc.abstractmethod
    def compare(self, prediction: str, answer: str) -> float:
        """Return the agreement of a prediction with one gold answer, 0 to 1."""

    def statistics(self, hypotheses: Sequence[str], references: References) -> np.ndarray:
        """Return one row per question: the best agreement, and 1.

        Args:
            hypotheses: One answer per question.
            references: One gold answer, or several, per question.

        Raises:
            TypeError: When an example is not a string.
            ValueError: When there is no example, or the numbers differ.
        """
        hypotheses, checked = check_pairs(hypotheses, references)
        pairs = zip(hypotheses, checked, strict=True)
        return np.array([[best(self.compare, text, gold), 1.0] for text, gold in pairs])  # (E, 2)

    def score_statistics(self, statistics: np.ndarray) -> Score:
        """Score rows (E, 2), or their sum (2,).

        Raises:
            ValueError: When the statistics are those of no example.
        """
        total, num_examples = summed(statistics).tolist()
        count = check_count(num_examples)
        return Score(
            name=self.name,
            label=self._label,
            value=100 * total / count,
            num_examples=count,
            signature=self._signature,
        )


def best(compare: Any, prediction: str, answers: Sequence[str]) -> float:
    """Return the highest agreement of a prediction with any of the answers."""
    return max(float(compare(prediction, answer)) for answer in answers)


def harmonic_f1(overlap: int, num_predicted: int, num_gold: int) -> float:
    """Return F1 of an overlap of tokens; 0 where nothing overlaps."""
    if not overlap:
        return 0.0
    precision, recall = overlap / num_predicted, overlap / num_gold
    return 2 * precision * recall / (precision + recall)


def num_shared(predicted: Sequence[str], gold: Sequence[str]) -> int:
    """Return how many tokens two bags of tokens share, repeats counted."""
    return (collections.Counter(predicted) & collections.Counter(gold)).total()
