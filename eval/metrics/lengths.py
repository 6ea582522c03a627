"""Outputs that are too short, too long, empty, or cut off."""

from collections.abc import Sequence

import numpy as np

from tflm.eval.metrics.base import Metric, Score, check_count, summed
from tflm.eval.metrics.example_mean import ExampleMean
from tflm.eval.metrics.examples import References, check_pairs
from tflm.eval.metrics.words import words


class LengthRatio(Metric):
    """Words of the outputs over words of the references, summed over the corpus; 1 is best.

        >>> LengthRatio().score(["他去北京"], [["他去了北京", "他到北京去了"]]).value
        0.7272727272727273

    Of several references the mean length counts. Words are those of any script: characters in
    Chinese. References without any word score 0.

    Args:
        name: Key of the scores.
    """

    def __init__(self, *, name: str = "length_ratio") -> None:
        super().__init__(name, higher_is_better=None)

    def statistics(self, hypotheses: Sequence[str], references: References) -> np.ndarray:
        """Return three columns: 1, words of the output, mean number of words of its references.

        Args:
            hypotheses: One string per example.
            references: One string, or several, per example.

        Returns:
            Array (E, 3), float64.

        Raises:
            TypeError: When an example is not a string.
            ValueError: When there is no example, or hypotheses and references differ in number.
        """
        rows = [
            (1, len(words(hypothesis)), sum(len(words(text)) for text in entry) / len(entry))
            for hypothesis, entry in zip(*check_pairs(hypotheses, references), strict=True)
        ]
        return np.array(rows, dtype=np.float64)

    def score_statistics(self, statistics: np.ndarray) -> Score:
        """Score summed statistics (K,), or rows (E, K), which are summed first.

        Raises:
            ValueError: When the statistics are those of no example.
        """
        count, output_length, reference_length = summed(statistics).tolist()
        num_examples = check_count(count)
        return Score(
            name=self.name,
            label="Length ratio",
            value=output_length / reference_length if reference_length else 0.0,
            num_examples=num_examples,
            signature="refs:mean|level:corpus|tok:unicode",
            higher_is_better=None,
            components={
                "mean_output_length": output_length / num_examples,
                "mean_reference_length": reference_length / num_examples,
            },
            digits=4,
        )


class EmptyShare(ExampleMean):
    """The share of outputs that hold nothing but white space, from 0 to 1; lower is better.

    Args:
        name: Key of the scores.
    """

    def __init__(self, *, name: str = "empty") -> None:
        super().__init__(name, label="Empty outputs", signature="level:example|avg:mean")

    def example_value(self, hypothesis: str) -> float:
        """Return 1 for an empty output, else 0."""
        return float(not hypothesis.strip())


class Output(str):
    """A generated text that knows whether it was cut: a string in every other respect.

        >>> Output("ein Hund", truncated=True).truncated
        True

    Args:
        text: The text.
        truncated: Whether generation, or its input, was stopped by a limit on the length.
    """

    truncated: bool

    def __new__(cls, text: str, *, truncated: bool) -> "Output":
        """Make a string with its flag."""
        output = super().__new__(cls, text)
        output.truncated = truncated
        return output

    def __getnewargs_ex__(self) -> tuple[tuple[str], dict[str, bool]]:
        return (str(self),), {"truncated": self.truncated}


class TruncatedShare(ExampleMean):
    """The share of outputs that a limit on the length cut off, from 0 to 1; lower is better.

        >>> TruncatedShare().score([Output("ein Hund läuft im", truncated=True)]).value
        1.0

    A text alone does not say whether it was cut, so the hypotheses must be `Output`s.

    Args:
        name: Key of the scores.
    """

    def __init__(self, *, name: str = "truncated") -> None:
        super().__init__(name, label="Truncated outputs", signature="level:example|avg:mean")

    def example_value(self, hypothesis: str) -> float:
        """Return 1 for an output that was cut, else 0.

        Raises:
            ValueError: When the output does not say.
        """
        if not isinstance(hypothesis, Output):
            raise ValueError(
                "`hypotheses` must say whether they were cut, as `Output(text, truncated=...)`. "
                f"Received: {hypothesis!r} of type {type(hypothesis).__name__}"
            )
        return float(hypothesis.truncated)
