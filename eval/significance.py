"""Is one system better than another, or is the difference chance? Paired tests on any metric.

Both tests have sacreBLEU's conventions (`sacrebleu --paired-bs`, `--paired-ar`): its draws under
the same seed, its test statistics, and its p-value (c + 1) / (R + 1), with c the trials as extreme
as the real difference. One thing differs: a trial that equals the real difference counts as
extreme, as in Noreen 1989. sacreBLEU leaves ties out, and so finds a system significantly different
from itself. Trials in which a score is not defined (AUROC of one label, say) are left out, and
where all are, or a real score is not, p is `nan`. Legend: R trials, E examples, K statistics of one
example.
"""

import dataclasses
from typing import Any

import numpy as np

from tflm.eval.confidence import check_level, check_paired, percentiles, resampled_values
from tflm.eval.metrics.base import Interval, Metric, Score, json_number

_MAX_SWAPS = 4_000_000  # entries of the matrix of swaps held at once: 32 MB
# Differences that are equal in exact arithmetic are so up to rounding only.
_TIE = 1e-9


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """The outcome of a paired test of one metric.

    Args:
        baseline: Score of the system that is compared with.
        system: Score of the system that is compared.
        p_value: How likely a difference as large as this one is where there is none; two-sided.
        test: `"paired bootstrap"` or `"approximate randomization"`.
        num_trials: Number of resamples or of random swaps.
        seed: Seed of the test.
        interval: Confidence interval of `difference`; the bootstrap has one.
    """

    baseline: Score
    system: Score
    p_value: float
    test: str
    num_trials: int
    seed: int
    interval: Interval | None = None

    @property
    def difference(self) -> float:
        """How much higher the system scores than the baseline."""
        return self.system.value - self.baseline.value

    def format(self) -> str:
        """Return one line: `BLEU 34.10 - 33.20 = +0.90 [+0.31, +1.47] (p = 0.0120, ...)`."""
        digits = self.system.digits
        line = (
            f"{self.system.label} {self.system.value:.{digits}f} - "
            f"{self.baseline.value:.{digits}f} = {self.difference:+.{digits}f}"
        )
        if self.interval is not None:
            line += f" [{self.interval.low:+.{digits}f}, {self.interval.high:+.{digits}f}]"
        return (
            f"{line} (p = {self.p_value:.4f}, {self.test}, {self.num_trials} trials, "
            f"seed {self.seed})"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that `json` writes."""
        return {
            **vars(self),
            "baseline": self.baseline.to_dict(),
            "system": self.system.to_dict(),
            "difference": json_number(self.difference),
            "p_value": json_number(self.p_value),
            "interval": None if self.interval is None else self.interval.to_dict(),
        }


def paired_bootstrap(
    metric: Metric,
    baseline: np.ndarray,
    system: np.ndarray,
    *,
    num_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 12345,
) -> Comparison:
    """Test whether two systems differ, by resampling the examples (Koehn 2004).

    The p-value is the share of resamples whose absolute difference, less the mean of the absolute
    differences, reaches the real one (sacreBLEU's, hence Moses' convention).

    Args:
        metric: The metric that computed both statistics.
        baseline: Statistics (E, K) of the system that is compared with.
        system: Statistics (E, K) of the system that is compared, of the same examples.
        num_resamples: Number of resamples.
        level: Level of the interval of the difference.
        seed: Seed of the resampling.

    Raises:
        ValueError: When statistics are not (E, K) with the same E, `num_resamples` is not positive,
            or `level` is not between 0 and 1.
    """
    check_level(level)
    values = resampled_values([metric, metric], [baseline, system], num_resamples, seed)  # (2, R)
    differences = _defined(values[1] - values[0])  # (R,) or fewer
    sizes = np.abs(differences)
    scores = metric.score_statistics(baseline), metric.score_statistics(system)
    low, high = percentiles(differences, level)
    return Comparison(
        baseline=scores[0],
        system=scores[1],
        p_value=_p_value(sizes - sizes.mean() if len(sizes) else sizes, scores),
        test="paired bootstrap",
        num_trials=num_resamples,
        seed=seed,
        interval=Interval(low=low, high=high, level=level, num_resamples=num_resamples, seed=seed),
    )


def approximate_randomization(
    metric: Metric,
    baseline: np.ndarray,
    system: np.ndarray,
    *,
    num_trials: int = 10_000,
    seed: int = 12345,
) -> Comparison:
    """Test whether two systems differ, by swapping their outputs at random (Riezler and Maxwell
    2005).

    Args:
        metric: The metric that computed both statistics.
        baseline: Statistics (E, K) of the system that is compared with.
        system: Statistics (E, K) of the system that is compared, of the same examples.
        num_trials: Number of random swaps.
        seed: Seed of the swaps.

    Raises:
        ValueError: When statistics are not (E, K) with the same E, or `num_trials` is not positive.
    """
    check_paired([baseline, system])
    if num_trials < 1:
        raise ValueError(f"`num_trials` must be positive. Received: num_trials={num_trials}")
    num_examples = len(baseline)
    # A multiple of 32 rows uses up whole words of random bits, so blocks do not change the swaps.
    size = max(32, _MAX_SWAPS // num_examples // 32 * 32)
    generator = np.random.default_rng(seed)
    differences = []
    for start in range(0, num_trials, size):
        shape = (min(size, num_trials - start), num_examples)
        swaps = generator.integers(2, size=shape, dtype=bool)  # (r, E)
        differences += _swapped_differences(metric, baseline, system, swaps)
    scores = metric.score_statistics(baseline), metric.score_statistics(system)
    return Comparison(
        baseline=scores[0],
        system=scores[1],
        p_value=_p_value(_defined(np.abs(differences)), scores),
        test="approximate randomization",
        num_trials=num_trials,
        seed=seed,
    )


def _swapped_differences(
    metric: Metric, baseline: np.ndarray, system: np.ndarray, swaps: np.ndarray
) -> list[float]:
    """Return the difference between the two mixtures that each row of `swaps` (r, E) makes."""
    if metric.adds:
        mixtures = zip(
            swaps @ baseline + ~swaps @ system,  # (r, K)
            ~swaps @ baseline + swaps @ system,  # (r, K)
            strict=True,
        )
    else:
        mixtures = (
            (np.where(row, baseline, system), np.where(row, system, baseline))  # (E, K) each
            for row in swaps[:, :, None]
        )
    return [
        metric.score_statistics(first).value - metric.score_statistics(second).value
        for first, second in mixtures
    ]


def _defined(values: np.ndarray) -> np.ndarray:
    """Return the values that are numbers."""
    return values[~np.isnan(values)]


def _p_value(trials: np.ndarray, scores: tuple[Score, Score]) -> float:
    difference = abs(scores[0].value - scores[1].value)
    if not len(trials) or np.isnan(difference):
        return float("nan")
    tie = _TIE * max(abs(score.value) for score in scores)
    num_extreme = int(np.sum(trials >= difference - tie))
    return (num_extreme + 1) / (len(trials) + 1)
