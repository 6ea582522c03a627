"""Bootstrap confidence intervals (Koehn 2004) of any metric, from its per-example statistics.

A resample draws E examples with replacement. Statistics add, so a resample is its vector of counts
times the rows, and no text is looked at again. Legend: R resamples, E examples, K statistics of one
example.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from tflm.eval.metrics.base import Interval, Metric

_MAX_COUNTS = 4_000_000  # entries of the count matrix held at once: 32 MB


def bootstrap(
    metric: Metric,
    statistics: np.ndarray,
    *,
    num_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 12345,
) -> Interval:
    """Return the percentile bootstrap interval of a metric's score.

    Args:
        metric: The metric that computed `statistics`.
        statistics: One row per example (E, K), as `metric.statistics` returns them.
        num_resamples: Number of resamples.
        level: Share of the resamples inside the interval.
        seed: Seed of the resampling; the same seed gives the same interval.

    Raises:
        ValueError: When `statistics` is not (E, K) with at least one row, `num_resamples` is not
            positive, or `level` is not between 0 and 1.
    """
    return bootstrap_all(
        [metric], [statistics], num_resamples=num_resamples, level=level, seed=seed
    )[0]


def bootstrap_all(
    metrics: Sequence[Metric],
    statistics: Sequence[np.ndarray],
    *,
    num_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 12345,
) -> list[Interval]:
    """Return the interval of each of several metrics on the same examples, each as `bootstrap`
    gives it.

    The examples are drawn once for all metrics, which is what takes the time on large corpora.

    Args:
        metrics: The metrics.
        statistics: For each metric its rows (E, K).
        num_resamples: Number of resamples.
        level: Share of the resamples inside the interval.
        seed: Seed of the resampling.

    Raises:
        ValueError: When statistics are not (E, K) with at least one row and the same E, when
            `num_resamples` is not positive, or when `level` is not between 0 and 1.
    """
    check_level(level)
    values = resampled_values(metrics, statistics, num_resamples, seed)  # (metrics, R)
    ends = (percentiles(row, level) for row in values)
    return [
        Interval(low=low, high=high, level=level, num_resamples=num_resamples, seed=seed)
        for low, high in ends
    ]


def percentiles(values: np.ndarray, level: float) -> tuple[float, float]:
    """Return the ends between which the share `level` of the values lies.

    Resamples in which a score is not defined, AUROC of one label say, are `nan` and left out; where
    all are, so are both ends.
    """
    defined = values[~np.isnan(values)]
    if not len(defined):
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2]).tolist()
    return low, high


def resampled_values(
    metrics: Sequence[Metric], statistics: Sequence[np.ndarray], num_resamples: int, seed: int
) -> np.ndarray:
    """Return the scores of bootstrap resamples, the same resamples for all metrics.

    The draws are those of sacreBLEU with the same seed.

    Args:
        metrics: The metrics.
        statistics: For each metric its rows (E, K).
        num_resamples: Number of resamples.
        seed: Seed of the resampling.

    Returns:
        Array (metrics, R), float64.

    Raises:
        ValueError: When statistics are not (E, K) with at least one row and the same E, or
            `num_resamples` is not positive.
    """
    check_paired(statistics)
    if num_resamples < 1:
        raise ValueError(
            f"`num_resamples` must be positive. Received: num_resamples={num_resamples}"
        )
    values: list[list[float]] = [[] for _ in metrics]
    num_examples = len(statistics[0])
    generator = np.random.default_rng(seed)
    for drawn, counts in _resamples(num_examples, num_resamples, generator):
        for metric, rows, found in zip(metrics, statistics, values, strict=True):
            if metric.adds:
                sums = counts @ rows  # (r, K)
                found += [metric.score_statistics(total).value for total in sums]
            else:
                found += [metric.score_statistics(rows[chosen]).value for chosen in drawn]
    return np.array(values)


def check_level(level: float) -> None:
    """Check that a confidence level is a share.

    Raises:
        ValueError: When `level` is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"`level` must be between 0 and 1. Received: level={level}")


def check_paired(statistics: Sequence[np.ndarray]) -> None:
    """Check that all statistics are rows (E, K) of the same number of examples.

    Raises:
        ValueError: When one is not, or there is no row.
    """
    for rows in statistics:
        if rows.ndim != 2 or not len(rows):
            raise ValueError(
                "`statistics` must have one row per example, shape (examples, statistics). "
                f"Received: shape={rows.shape}"
            )
    if len({len(rows) for rows in statistics}) > 1:
        shapes = ", ".join(str(rows.shape) for rows in statistics)
        raise ValueError(
            f"`statistics` must all be those of the same examples. Received: shapes {shapes}"
        )


def _resamples(
    num_examples: int, num_resamples: int, generator: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield blocks of resamples: the drawn indices (r, E), and how often each was drawn (r, E)."""
    size = min(num_resamples, max(1, _MAX_COUNTS // num_examples))
    drawn = np.empty((size, num_examples), dtype=np.int32)
    counts = np.empty((size, num_examples), dtype=np.float64)
    for start in range(0, num_resamples, size):
        num_rows = min(size, num_resamples - start)
        for row in range(num_rows):
            drawn[row] = generator.integers(num_examples, size=num_examples, dtype=np.int32)
            counts[row] = np.bincount(drawn[row], minlength=num_examples)
        yield drawn[:num_rows], counts[:num_rows]
