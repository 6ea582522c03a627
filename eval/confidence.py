"""Bootstrap confidence intervals (Koehn 2004) of any metric, from its per-example statistics.

A resample draws E examples with replacement. Statistics add, so a resample is its vector of counts
times the rows, and no text is looked at again. Legend: R resamples, E examples, K statistics of one
example.
"""

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
    if statistics.ndim != 2 or not len(statistics):
        raise ValueError(
            "`statistics` must have one row per example, shape (examples, statistics). "
            f"Received: shape={statistics.shape}"
        )
    if num_resamples < 1:
        raise ValueError(
            f"`num_resamples` must be positive. Received: num_resamples={num_resamples}"
        )
    if not 0 < level < 1:
        raise ValueError(f"`level` must be between 0 and 1. Received: level={level}")
    sums = _resampled_sums(statistics, num_resamples, np.random.default_rng(seed))  # (R, K)
    values = [metric.score_statistics(summed).value for summed in sums]
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(
        low=float(low), high=float(high), level=level, num_resamples=num_resamples, seed=seed
    )


def _resampled_sums(
    statistics: np.ndarray, num_resamples: int, generator: np.random.Generator
) -> np.ndarray:
    """Return the summed statistics of each resample: (E, K) -> (R, K)."""
    num_examples = len(statistics)
    block = max(1, _MAX_COUNTS // num_examples)
    sums = []
    for start in range(0, num_resamples, block):
        rows = min(block, num_resamples - start)
        drawn = generator.integers(num_examples, size=(rows, num_examples))  # (r, E)
        cells = drawn + np.arange(rows)[:, None] * num_examples  # (r, E)
        counts = np.bincount(cells.ravel(), minlength=rows * num_examples)  # (r * E,)
        sums.append(counts.reshape(rows, num_examples).astype(np.float64) @ statistics)  # (r, K)
    return np.concatenate(sums)
