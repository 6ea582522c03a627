"""Mean and standard deviation of a score over several runs: seeds of a training, or folds."""

import dataclasses
import math
import statistics
from collections.abc import Sequence
from typing import Any

from tflm.eval.metrics.base import Score, json_number


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spread:
    """One score of several runs.

    Args:
        name: Key of the score.
        label: The name in print.
        values: The score of each run.
        signature: The settings of the score, the same for all runs.
        higher_is_better: As in `Score`.
        digits: As in `Score`.
    """

    name: str
    label: str
    values: tuple[float, ...]
    signature: str
    higher_is_better: bool | None = True
    digits: int = 2

    @property
    def mean(self) -> float:
        """The mean over runs."""
        return statistics.fmean(self.values)

    @property
    def deviation(self) -> float:
        """The sample standard deviation over runs, with n - 1 in the denominator.

        It is nan where a value is nan or infinite.
        """
        return statistics.stdev(self.values) if all(map(math.isfinite, self.values)) else math.nan

    def format(self) -> str:
        """Return one line: `BLEU|nrefs:1|... = 36.30 ± 0.21 (3 runs)`."""
        return (
            f"{self.label}|{self.signature} = {self.mean:.{self.digits}f} ± "
            f"{self.deviation:.{self.digits}f} ({len(self.values)} runs)"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that `json` writes."""
        return {
            **vars(self),
            "values": list(map(json_number, self.values)),
            "mean": json_number(self.mean),
            "deviation": json_number(self.deviation),
        }


def spread(scores: Sequence[Score]) -> Spread:
    """Return the mean and deviation of one metric's scores over several runs.

        spread([report["bleu"] for report in reports_of_three_seeds]).format()

    Args:
        scores: The score of each run, all of one metric with one signature.

    Raises:
        ValueError: When there are fewer than two scores, or they differ in name or signature.
    """
    if len(scores) < 2:
        raise ValueError(f"`scores` must be those of two or more runs. Received: {len(scores)}")
    kinds = sorted({f"{score.name}|{score.signature}" for score in scores})
    if len(kinds) > 1:
        raise ValueError(
            "`scores` must be of one metric with one signature. Received: " + ", ".join(kinds)
        )
    return spread_of(scores[0], [score.value for score in scores])


def spread_of(score: Score, values: Sequence[float]) -> Spread:
    """Return the spread of values whose name and settings are those of `score`."""
    return Spread(
        name=score.name,
        label=score.label,
        values=tuple(values),
        signature=score.signature,
        higher_is_better=score.higher_is_better,
        digits=score.digits,
    )
