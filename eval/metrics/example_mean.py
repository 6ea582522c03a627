"""Metrics that are the mean of a number that each output has by itself."""

import abc
from collections.abc import Sequence

import numpy as np

from tflm.eval.metrics.base import Metric, Score, check_count, summed
from tflm.eval.metrics.examples import References, check_pairs, check_texts


class ExampleMean(Metric):
    """The mean over outputs of a number from 0 to 1; references are neither needed nor read.

    A corpus in which no output has the number scores 0.

    Args:
        name: Key of the scores.
        label: The name in print.
        signature: Every setting that changes the value.
        higher_is_better: False where the number is a fault.
    """

    def __init__(
        self, name: str, *, label: str, signature: str, higher_is_better: bool = False
    ) -> None:
        super().__init__(name, higher_is_better=higher_is_better)
        self._label = label
        self._signature = signature

    @abc.abstractmethod
    def example_value(self, hypothesis: str) -> float | None:
        """Return the number of one output, None where it has none and is left out of the mean."""

    def statistics(
        self, hypotheses: Sequence[str], references: References | None = None
    ) -> np.ndarray:
        """Return three columns: 1, whether the output has the number, and the number.

        Args:
            hypotheses: One string per example.
            references: Not read. They may be None, or one or several strings per example.

        Returns:
            Array (E, 3), float64.

        Raises:
            TypeError: When an example is not a string.
            ValueError: When there is no example, or hypotheses and references differ in number.
        """
        if references is None:
            hypotheses = check_texts("hypotheses", hypotheses)
        else:
            hypotheses, _ = check_pairs(hypotheses, references)
        values = map(self.example_value, hypotheses)
        rows = [(1, 0, 0) if value is None else (1, 1, value) for value in values]
        return np.array(rows, dtype=np.float64)

    def score(self, hypotheses: Sequence[str], references: References | None = None) -> Score:
        """Score hypotheses; arguments and errors are those of `statistics`."""
        return self.score_statistics(self.statistics(hypotheses, references))

    def score_statistics(self, statistics: np.ndarray) -> Score:
        """Score summed statistics (K,), or rows (E, K), which are summed first.

        Raises:
            ValueError: When the statistics are those of no example.
        """
        num_examples, num_counted, total = summed(statistics).tolist()
        return Score(
            name=self.name,
            label=self._label,
            value=total / num_counted if num_counted else 0.0,
            num_examples=check_count(num_examples),
            signature=self._signature,
            higher_is_better=self.higher_is_better,
            components={"num_counted": int(num_counted)},
            digits=4,
        )
