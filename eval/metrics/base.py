"""What a metric is: sufficient statistics that add, and a score that carries its settings.

    statistics(hypotheses, references) -> (E, K)      one row per example
    score_statistics(rows, or a sum of rows) -> Score

Because statistics add, a corpus can be scored in parts, on several machines, or resampled, and the
number is the same. A few metrics look at an order of examples or search a threshold over them;
their rows add by concatenation, and a sum of rows is refused (`Metric.adds` is False).
Legend: E examples, K statistics of one example.
"""

import abc
import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tflm.eval.metrics.examples import check_references


@dataclasses.dataclass(frozen=True, kw_only=True)
class Interval:
    """A confidence interval of a score, with everything needed to compute it again.

    Args:
        low: Lower end, in the units of the score.
        high: Upper end.
        level: The share of resamples between them, 0.95 for a 95 % interval.
        num_resamples: How many bootstrap resamples it was estimated from.
        seed: Seed of the resampling.
    """

    low: float
    high: float
    level: float
    num_resamples: int
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that `json` writes and `from_dict` reads."""
        return {name: json_number(value) for name, value in vars(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Interval":
        """Build the interval that `to_dict` wrote."""
        read: dict[str, Any] = {name: from_json_number(value) for name, value in values.items()}
        return cls(**read)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Score:
    """A number, and what is needed to defend it: settings, parts and the number of examples.

    Args:
        name: Key in logs, JSON and tables, for example `"bleu"`.
        label: The name in print, for example `"BLEU"`.
        value: The score.
        num_examples: How many examples it was computed on.
        signature: Every setting that changes the value, `"nrefs:1|case:mixed|..."`.
        higher_is_better: False for error rates; None where neither is better (a ratio of lengths).
        components: Named parts of the score, such as BLEU's precisions.
        interval: Its confidence interval, when one was computed.
        digits: Digits after the point in print: 2 suits a scale of 100, 4 a scale of 1.
    """

    name: str
    label: str
    value: float
    num_examples: int
    signature: str
    higher_is_better: bool | None = True
    components: Mapping[str, float] = dataclasses.field(default_factory=dict)
    interval: Interval | None = None
    digits: int = 2

    def format(self, digits: int | None = None) -> str:
        """Return one line: `BLEU|nrefs:1|case:mixed|... = 36.30 [34.95, 37.71] (1000 examples)`."""
        examples = "1 example" if self.num_examples == 1 else f"{self.num_examples} examples"
        return f"{self.label}|{self.signature} = {self.format_value(digits)} ({examples})"

    def format_value(self, digits: int | None = None) -> str:
        """Return the value, with its interval in brackets when there is one.

        Args:
            digits: Digits after the point; None is the score's own `digits`.
        """
        digits = self.digits if digits is None else digits
        value = f"{self.value:.{digits}f}"
        if self.interval is None:
            return value
        return f"{value} [{self.interval.low:.{digits}f}, {self.interval.high:.{digits}f}]"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that `json` writes and `from_dict` reads.

        JSON has no number that is infinite or none: such a value is the string "inf" or "nan".
        """
        return {
            **vars(self),
            "value": json_number(self.value),
            "components": {name: json_number(part) for name, part in self.components.items()},
            "interval": None if self.interval is None else self.interval.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Score":
        """Build the score that `to_dict` wrote."""
        interval = values["interval"]
        parts = {name: from_json_number(part) for name, part in values["components"].items()}
        changed = {
            "value": from_json_number(values["value"]),
            "components": parts,
            "interval": None if interval is None else Interval.from_dict(interval),
        }
        return cls(**{**values, **changed})


def json_number(value: float) -> float | str:
    """Return a number that JSON can hold, and "inf", "-inf" or "nan" in place of one it cannot."""
    return value if math.isfinite(value) else str(float(value))


def from_json_number(value: float | str) -> float:
    """Return the number that `json_number` stood for."""
    return float(value) if isinstance(value, str) else value


class Metric(abc.ABC):
    """Base of all metrics: two methods to write, `statistics` and `score_statistics`.

    Hypotheses and references are text unless a metric says otherwise (labels, probabilities, sets
    of labels); such a metric also writes `check_references`.

    Args:
        name: Key of the scores in logs and JSON.
        higher_is_better: False for error rates; a callback that monitors the score then needs
            `mode="min"`. None where neither is better.
        adds: Whether a sum of rows scores the examples it is the sum of. When False, the score
            needs the rows themselves: parts are concatenated, and resampling draws rows.
    """

    def __init__(
        self, name: str, *, higher_is_better: bool | None = True, adds: bool = True
    ) -> None:
        self.name = name
        self.higher_is_better = higher_is_better
        self.adds = adds

    @abc.abstractmethod
    def statistics(self, hypotheses: Sequence[Any], references: Sequence[Any]) -> np.ndarray:
        """Return the sufficient statistics, one row per example.

        Args:
            hypotheses: One per example, a string unless the metric says otherwise.
            references: One per example, a string or several unless the metric says otherwise.

        Returns:
            Array (E, K), float64. Rows of disjoint parts make the rows of the whole; where the
            metric `adds`, the sum over any set of examples scores that set.

        Raises:
            TypeError: When an example is of the wrong type.
            ValueError: When there is no example, or hypotheses and references differ in number.
        """

    @abc.abstractmethod
    def score_statistics(self, statistics: np.ndarray) -> Score:
        """Score rows (E, K), or, where the metric `adds`, their sum (K,).

        Raises:
            ValueError: When the statistics are those of no example, or a sum where the metric
                needs rows.
        """

    def check_references(self, references: Sequence[Any]) -> Sequence[Any]:
        """Return the references after checking what can be checked without predictions.

        Raises:
            TypeError: When one is of the wrong type.
            ValueError: When there is none, or one is not allowed.
        """
        return check_references(references)

    def score(self, hypotheses: Sequence[Any], references: Sequence[Any]) -> Score:
        """Score hypotheses against references; arguments and errors are those of `statistics`."""
        return self.score_statistics(self.statistics(hypotheses, references))


def summed(statistics: np.ndarray) -> np.ndarray:
    """Return statistics as one sum (K,): of rows (E, K), or as they are.

    Raises:
        ValueError: When there is no row.
    """
    if statistics.ndim == 1:
        return statistics
    return check_rows(statistics).sum(axis=0)


def check_count(num_examples: float) -> int:
    """Return the number of examples that statistics are of, after checking that there are some.

    Raises:
        ValueError: When there is none.
    """
    if num_examples < 1:
        raise ValueError("`statistics` must be those of at least one example. Received: 0 examples")
    return int(num_examples)


def check_rows(statistics: np.ndarray) -> np.ndarray:
    """Return `statistics` after checking that they are at least one row (E, K).

    Raises:
        ValueError: When they are a sum, or those of no example.
    """
    if statistics.ndim != 2 or not len(statistics):
        raise ValueError(
            "`statistics` must be those of at least one example, one row each, shape "
            f"(examples, statistics). Received: shape={statistics.shape}"
        )
    return statistics
