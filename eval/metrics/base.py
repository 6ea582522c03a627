"""What a metric is: sufficient statistics that add, and a score that carries its settings.

    statistics(hypotheses, references) -> (E, K)      one row per example
    score_statistics(rows, or a sum of rows) -> Score

Because statistics add, a corpus can be scored in parts, on several machines, or resampled, and the
number is the same. Legend: E examples, K statistics of one example.
"""

import abc
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tflm.eval.metrics.examples import References


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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Score:
    """A number, and what is needed to defend it: settings, parts and the number of examples.

    Args:
        name: Key in logs, JSON and tables, for example `"bleu"`.
        label: The name in print, for example `"BLEU"`.
        value: The score.
        num_examples: How many examples it was computed on.
        signature: Every setting that changes the value, `"nrefs:1|case:mixed|..."`.
        higher_is_better: False for error rates.
        components: Named parts of the score, such as BLEU's precisions.
        interval: Its confidence interval, when one was computed.
    """

    name: str
    label: str
    value: float
    num_examples: int
    signature: str
    higher_is_better: bool = True
    components: Mapping[str, float] = dataclasses.field(default_factory=dict)
    interval: Interval | None = None

    def format(self, digits: int = 2) -> str:
        """Return one line: `BLEU|nrefs:1|case:mixed|... = 36.30 [34.95, 37.71] (1000 examples)`."""
        examples = "1 example" if self.num_examples == 1 else f"{self.num_examples} examples"
        return f"{self.label}|{self.signature} = {self.format_value(digits)} ({examples})"

    def format_value(self, digits: int = 2) -> str:
        """Return the value, with its interval in brackets when there is one."""
        value = f"{self.value:.{digits}f}"
        if self.interval is None:
            return value
        return f"{value} [{self.interval.low:.{digits}f}, {self.interval.high:.{digits}f}]"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that `json` writes and `from_dict` reads."""
        return {**dataclasses.asdict(self), "components": dict(self.components)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Score":
        """Build the score that `to_dict` wrote."""
        interval = values["interval"]
        return cls(**{**values, "interval": None if interval is None else Interval(**interval)})


class Metric(abc.ABC):
    """Base of all metrics: two methods to write, `statistics` and `score_statistics`.

    Args:
        name: Key of the scores in logs and JSON.
        higher_is_better: False for error rates; a callback that monitors the score then needs
            `mode="min"`.
    """

    def __init__(self, name: str, *, higher_is_better: bool = True) -> None:
        self.name = name
        self.higher_is_better = higher_is_better

    @abc.abstractmethod
    def statistics(self, hypotheses: Sequence[str], references: References) -> np.ndarray:
        """Return the sufficient statistics, one row per example.

        Args:
            hypotheses: One string per example.
            references: One string, or several, per example.

        Returns:
            Array (E, K), float64. Rows add: the sum over any set of examples scores that set.

        Raises:
            TypeError: When an example is not a string.
            ValueError: When there is no example, or hypotheses and references differ in number.
        """

    @abc.abstractmethod
    def score_statistics(self, statistics: np.ndarray) -> Score:
        """Score summed statistics (K,), or rows (E, K), which are summed first.

        Raises:
            ValueError: When the statistics are those of no example.
        """

    def score(self, hypotheses: Sequence[str], references: References) -> Score:
        """Score hypotheses against references; arguments and errors are those of `statistics`."""
        return self.score_statistics(self.statistics(hypotheses, references))
