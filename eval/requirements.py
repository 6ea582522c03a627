"""What a model must score before it may be published: `"bleu>=30"`."""

import dataclasses
import math
import operator
import re
from collections.abc import Sequence

from tflm.eval.metrics.base import Score
from tflm.eval.reports import Report

_COMPARISONS = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_FORM = re.compile(r"\s*([^\s<>=]+)\s*(>=|<=|>|<)\s*(\S+)\s*")


class RequirementsNotMet(Exception):
    """A model falls short; the message has a line for each requirement, with the figure."""


@dataclasses.dataclass(frozen=True)
class Requirement:
    """One bound on one score.

    Args:
        metric: Name of the score, as in the report.
        comparison: `>=`, `<=`, `>` or `<`.
        bound: The number, in the units of the score.
    """

    metric: str
    comparison: str
    bound: float

    @classmethod
    def parse(cls, text: str) -> "Requirement":
        """Return the requirement that `"bleu>=30"` or `"ter <= 50.5"` states.

        Raises:
            ValueError: When it is not a metric, a comparison and a number.
        """
        match = _FORM.fullmatch(text)
        try:
            if match is None or math.isnan(bound := float(match[3])):
                raise ValueError("no comparison, or none that can be met")
            return cls(match[1], match[2], bound)
        except ValueError:
            raise ValueError(
                "`require` must be a metric, one of >=, <=, >, <, and a number, 'bleu>=30' say. "
                f"Received: {text!r}"
            ) from None

    def is_met(self, score: Score) -> bool:
        """Return whether a score is within the bound; one that is not a number never is."""
        return _COMPARISONS[self.comparison](score.value, self.bound)

    def __str__(self) -> str:
        return f"{self.metric}{self.comparison}{self.bound:g}"


def check_known(requirements: Sequence[Requirement], names: Sequence[str]) -> None:
    """Check that every requirement is about one of the scores that will be there.

    Raises:
        ValueError: When one is not; the message lists the names.
    """
    for requirement in requirements:
        if requirement.metric not in names:
            raise ValueError(
                f"`require` must name one of {', '.join(names)}. Received: '{requirement}'"
            )


def check_requirements(requirements: Sequence[Requirement], report: Report) -> None:
    """Check that a report meets every requirement.

    Raises:
        ValueError: When the report has no score of that name; the message lists those it has.
        RequirementsNotMet: When a score is out of bounds; the message has every figure.
    """
    check_known(requirements, [score.name for score in report.scores])
    if all(requirement.is_met(report[requirement.metric]) for requirement in requirements):
        return
    lines = []
    for requirement in requirements:
        score = report[requirement.metric]
        verdict = "met" if requirement.is_met(score) else "NOT MET"
        lines.append(f"  {requirement}  {verdict}: {score.format()}")
    raise RequirementsNotMet("\n".join(["the model falls short, nothing was written", *lines]))
