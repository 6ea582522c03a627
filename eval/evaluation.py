"""From predictions, or a function that predicts, to a report."""

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any

import numpy as np

from tflm.eval.baselines import Baseline
from tflm.eval.confidence import bootstrap_all
from tflm.eval.metrics.base import Metric, Score
from tflm.eval.metrics.examples import (
    References,
    as_list,
    check_lengths,
    check_texts,
)
from tflm.eval.metrics.labels import LabelSet
from tflm.eval.parallel import compute_statistics
from tflm.eval.reports import Example, Report, SystemScores

Predict = Callable[[list[Any]], Sequence[Any]]


def evaluate(
    predict_or_hypotheses: Predict | Sequence[Any],
    sources: Sequence[str] | None,
    references: References | Sequence[Any],
    metrics: Sequence[Metric],
    *,
    task: str = "",
    data: str = "",
    settings: Mapping[str, Any] | None = None,
    num_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 12345,
    num_shown: int = 5,
    target_language: str = "",
    baselines: Sequence[Baseline] = (),
) -> Report:
    """Score predictions against references, with confidence intervals.

        report = evaluate(task.predict_text, sources, references, metrics_for("translation", "de"))
        report["bleu"].value

    Args:
        predict_or_hypotheses: A function from a list of sources to as many predictions, or those
            predictions: strings, or whatever else the metrics read.
        sources: What was predicted from. None is allowed with hypotheses; the report then shows no
            sources.
        references: One string, or several, per example; what the metrics read.
        metrics: The metrics to compute.
        task: Name of the task, for the report.
        data: Which data this is, for the report.
        settings: How the predictions were made (checkpoint, beam size), for the report; values that
            JSON can hold.
        num_resamples: Bootstrap resamples of the confidence intervals; 0 leaves the intervals out.
        level: Level of the confidence intervals.
        seed: Seed of the resampling.
        num_shown: How many of the first examples the report shows.
        target_language: Code of the language of the predictions, for the report.
        baselines: Trivial systems to score on the same data, as `baselines_for` gives them.

    Raises:
        TypeError: When an example is not a string, or an entry of `metrics` is not a metric.
        ValueError: When there is no example or no metric, when lengths differ, when two metrics
            share a name, or when sources are needed and not given.
    """
    metrics = check_metrics(metrics)
    for metric in metrics:
        metric.check_references(references)
    references = list(references)
    shown = [as_texts(entry) for entry in references]
    if sources is not None:
        sources = check_texts("sources", sources)
        check_lengths("sources", sources, references)
    if not callable(predict_or_hypotheses):
        hypotheses = as_list("hypotheses", predict_or_hypotheses)
        check_lengths("hypotheses", hypotheses, references)
    elif sources is None:
        raise ValueError(
            "`sources` must be given when predictions come from a function. Received: None"
        )
    else:
        hypotheses = run_predict(predict_or_hypotheses, sources)

    def scored(predictions: Sequence[Any]) -> tuple[Score, ...]:
        statistics = compute_statistics(metrics, predictions, references)
        return scores_with_intervals(
            metrics, statistics, num_resamples=num_resamples, level=level, seed=seed
        )

    trivial = [run_baseline(baseline, sources, shown) for baseline in baselines]
    texts = [as_text(hypothesis) for hypothesis in hypotheses]
    examples = map(Example, sources or [""] * len(shown), texts, shown)
    return Report(
        task=task,
        data=data,
        scores=scored(hypotheses),
        settings=dict(settings or {}),
        examples=tuple(itertools.islice(examples, num_shown)),
        hypotheses=tuple(texts),
        sources=tuple(sources or ()),
        references=tuple(shown),
        target_language=target_language,
        baselines=tuple(
            SystemScores(name=baseline.name, label=baseline.label, scores=scored(predictions))
            for baseline, predictions in zip(baselines, trivial, strict=True)
        ),
    )


def as_text(prediction: Any) -> str:
    """Return a prediction in print: a string as it is, several labels as a `LabelSet`."""
    if isinstance(prediction, (list, tuple, set, frozenset)):
        return LabelSet(map(str, sorted(prediction) if isinstance(prediction, Set) else prediction))
    return prediction if isinstance(prediction, str) else str(prediction)


def as_texts(reference: Any) -> tuple[str, ...]:
    """Return what was expected of an example as strings: one, several, or none."""
    return (reference,) if isinstance(reference, str) else tuple(map(str, reference))


def scores_with_intervals(
    metrics: Sequence[Metric],
    statistics: Sequence[np.ndarray],
    *,
    num_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 12345,
) -> tuple[Score, ...]:
    """Return each metric's score with its bootstrap interval.

    Args:
        metrics: The metrics.
        statistics: For each metric its rows (E, K).
        num_resamples: Bootstrap resamples; 0 leaves the intervals out.
        level: Level of the intervals.
        seed: Seed of the resampling.
    """
    pairs = zip(metrics, statistics, strict=True)
    scores = [metric.score_statistics(rows) for metric, rows in pairs]
    if not num_resamples:
        return tuple(scores)
    intervals = bootstrap_all(
        metrics, statistics, num_resamples=num_resamples, level=level, seed=seed
    )
    pairs = zip(scores, intervals, strict=True)
    return tuple(dataclasses.replace(score, interval=interval) for score, interval in pairs)


def run_baseline(
    baseline: Baseline, sources: Sequence[str] | None, references: Sequence[tuple[str, ...]]
) -> list[str]:
    """Return what a trivial system answers.

    Raises:
        ValueError: When it reads sources and there are none.
    """
    if baseline.reads_sources and sources is None:
        raise ValueError(
            f"`sources` must be given for the baseline {baseline.name}. Received: None"
        )
    return baseline.predict(sources or [], references)


def run_predict(predict: Predict, sources: Sequence[Any]) -> list[Any]:
    """Return what `predict` makes of `sources`, after checking that it is one for each.

    What a prediction may be is for the metrics to say.

    Raises:
        TypeError: When the result is not a list.
        ValueError: When there are more or fewer predictions than sources.
    """
    predictions = predict(list(sources))
    if isinstance(predictions, (str, bytes)) or not hasattr(predictions, "__iter__"):
        raise TypeError(
            "`predict` must return a list with one prediction for each source. "
            f"Received: {type(predictions).__name__}"
        )
    predictions = list(predictions)
    if len(predictions) != len(sources):
        raise ValueError(
            "`predict` must return one prediction for each source. "
            f"Received: {len(predictions)} predictions for {len(sources)} sources"
        )
    return predictions


def check_metrics(metrics: Sequence[Metric]) -> list[Metric]:
    """Return `metrics` as a list after checking that it holds metrics with different names.

    Raises:
        TypeError: When an entry is not a `Metric`.
        ValueError: When there is none, or two share a name.
    """
    metrics = list(metrics)
    if not metrics:
        raise ValueError("`metrics` must hold at least one metric. Received: an empty list")
    names = [_metric_name(metric) for metric in metrics]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(
            "`metrics` must have different names; give one of them another with `name=`. "
            f"Received: {', '.join(repeated)} more than once"
        )
    return metrics


def _metric_name(metric: Any) -> str:
    if not isinstance(metric, Metric):
        raise TypeError(
            "`metrics` must be a list of metrics, such as BLEU('de'). "
            f"Received: {metric!r} of type {type(metric).__name__}"
        )
    return metric.name
