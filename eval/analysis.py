"""Where a system is good and where it is not: scores by input length, and example by example."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import sacrebleu

from tflm.eval.differences import num_tokens
from tflm.eval.evaluation import scores_with_intervals
from tflm.eval.metrics.base import Metric, Score
from tflm.eval.metrics.bleu import BLEU
from tflm.eval.reports import Report

_NUM_BINS = 5
_MIN_EXAMPLES_PER_BIN = 10
# Sentence BLEU is rough where chrF is smooth, so examples are sorted by chrF where there is one.
_SORTED_BY = ("chrf", "chrf++")
_BLEU_COLUMNS = 10  # at the end of a row: two lengths, four matches, four totals


@dataclasses.dataclass(frozen=True)
class LengthBin:
    """The examples whose input is of some length.

    Args:
        low: Fewest tokens of an input.
        high: Most tokens of an input.
        num_examples: How many examples these are.
        scores: The score of these examples by each metric, with its interval.
    """

    low: int
    high: int
    num_examples: int
    scores: tuple[Score, ...]

    @property
    def label(self) -> str:
        """The range of lengths in print."""
        return str(self.low) if self.low == self.high else f"{self.low}–{self.high}"


@dataclasses.dataclass(frozen=True)
class Analysis:
    """What `analyze` finds.

    Args:
        length_of: What the bins are lengths of: "source" or, without sources, "reference".
        bins: Scores by length, shortest first.
        sorted_by: How single examples are scored, in words.
        digits: Digits after the point of such a score in print.
        values: The score of each example (E,), NaN where it has none.
        order: Indices of the examples, worst first (E,); those without a score at the end.
        output_lengths: Tokens of each hypothesis (E,).
        reference_lengths: Tokens of each first reference (E,).
        classes: The classes of a classification, sorted; empty for other tasks.
        confusion: Counts (true class, predicted class); shape (0, 0) for other tasks.
    """

    length_of: str
    bins: tuple[LengthBin, ...]
    sorted_by: str
    digits: int
    values: np.ndarray
    order: np.ndarray
    output_lengths: np.ndarray
    reference_lengths: np.ndarray
    classes: tuple[str, ...]
    confusion: np.ndarray


def analyze(report: Report, metrics: Sequence[Metric], *, num_resamples: int = 200) -> Analysis:
    """Look into a report.

    Args:
        report: The report, with its references.
        metrics: The metrics it was made with.
        num_resamples: Bootstrap resamples for the intervals of the bins.

    Raises:
        ValueError: When the report has no references.
    """
    if not report.references:
        raise ValueError(
            "`report` must hold the references of its examples. "
            "Received: a report without examples.jsonl"
        )
    chosen = metrics[sorting_metric(metrics)]
    references = report.given_references()
    first = [entry[0] if entry else "" for entry in report.references]
    inputs = report.sources or first
    lengths = np.array([num_tokens(text) for text in inputs])
    groups = length_groups(lengths)
    hypotheses = report.given_hypotheses()
    statistics = [metric.statistics(hypotheses, references) for metric in metrics]
    values = example_values(chosen, statistics[sorting_metric(metrics)])
    bins = []
    for group in groups:
        rows = [row[group] for row in statistics]
        scores = scores_with_intervals(metrics, rows, num_resamples=num_resamples)
        low, high = int(lengths[group].min()), int(lengths[group].max())
        bins.append(LengthBin(low, high, len(group), scores))
    goodness = -values if chosen.higher_is_better is False else values
    classes = _classes(report, first)
    return Analysis(
        length_of="source" if report.sources else "reference",
        bins=tuple(bins),
        sorted_by=describe_example_score(chosen, report[chosen.name]),
        digits=report[chosen.name].digits,
        values=values,
        order=np.lexsort([np.arange(len(values)), goodness]),
        output_lengths=np.array([num_tokens(text) for text in report.hypotheses]),
        reference_lengths=np.array([num_tokens(text) for text in first]),
        classes=classes,
        confusion=_confusion(report.hypotheses, first, classes),
    )


def sorting_metric(metrics: Sequence[Metric]) -> int:
    """Return the index of the metric that examples are sorted by: chrF, else the first."""
    for name in _SORTED_BY:
        for index, metric in enumerate(metrics):
            if metric.name == name:
                return index
    return 0


def length_groups(lengths: np.ndarray) -> list[np.ndarray]:
    """Return the indices of the examples by length: up to five groups of about equal size.

    Examples of one length are in one group, and no group has fewer than ten examples unless there
    are fewer in all.

    Args:
        lengths: The length of each example (E,).
    """
    num_bins = max(1, min(_NUM_BINS, len(lengths) // _MIN_EXAMPLES_PER_BIN))
    edges = np.unique(np.quantile(lengths, np.arange(1, num_bins) / num_bins, method="lower"))
    numbers = np.searchsorted(edges, lengths)  # (E,), 0 for the shortest
    groups = [np.flatnonzero(numbers == number) for number in range(len(edges) + 1)]
    kept: list[np.ndarray] = []
    for group in groups:
        if kept and (len(group) < _MIN_EXAMPLES_PER_BIN or len(kept[-1]) < _MIN_EXAMPLES_PER_BIN):
            kept[-1] = np.sort(np.concatenate([kept[-1], group]))
        else:
            kept.append(group)
    return [group for group in kept if len(group)]


def example_values(metric: Metric, statistics: np.ndarray) -> np.ndarray:
    """Return the score of each example by itself.

    BLEU of a sentence is another definition than BLEU of a corpus with one sentence: smoothed, and
    with effective order, since a sentence of fewer than four tokens has no 4-gram to match.

    Args:
        metric: The metric that computed `statistics`.
        statistics: One row per example (E, K).

    Returns:
        Array (E,), float64; NaN where one example has no score.
    """
    if isinstance(metric, BLEU):
        return np.array([_sentence_bleu(row[-_BLEU_COLUMNS:]) for row in statistics])
    rows = np.split(statistics, len(statistics))  # each (1, K): some metrics refuse a sum
    return np.array([metric.score_statistics(row).value for row in rows])


def describe_example_score(metric: Metric, score: Score) -> str:
    """Return how `example_values` scores an example, in words."""
    if isinstance(metric, BLEU):
        return f"sentence {score.label}, exponential smoothing, effective order"
    return f"{score.label} of the example alone"


def _sentence_bleu(row: np.ndarray) -> float:
    hypothesis_length, reference_length, *counts = map(int, row)
    return sacrebleu.BLEU.compute_bleu(
        correct=counts[:4],
        total=counts[4:],
        sys_len=hypothesis_length,
        ref_len=reference_length,
        smooth_method="exp",
        effective_order=True,
    ).score


def _classes(report: Report, expected: Sequence[str]) -> tuple[str, ...]:
    """The classes of a report that has an accuracy, one of them for each example; else none."""
    if report.has_label_sets or all(score.name != "accuracy" for score in report.scores):
        return ()
    return tuple(sorted({*report.hypotheses, *expected}))


def _confusion(
    hypotheses: Sequence[str], expected: Sequence[str], classes: tuple[str, ...]
) -> np.ndarray:
    counts = np.zeros((len(classes), len(classes)), np.int64)
    if classes:
        number = {name: index for index, name in enumerate(classes)}
        for hypothesis, right in zip(hypotheses, expected, strict=True):
            counts[number[right], number[hypothesis]] += 1
    return counts
