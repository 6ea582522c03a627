"""From predictions, or a function that predicts, to a report."""

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tflm.eval.confidence import bootstrap
from tflm.eval.metrics.base import Metric
from tflm.eval.metrics.examples import (
    References,
    check_lengths,
    check_pairs,
    check_references,
    check_texts,
)
from tflm.eval.reports import Example, Report

Predict = Callable[[list[str]], Sequence[str]]


def evaluate(
    predict_or_hypotheses: Predict | Sequence[str],
    sources: Sequence[str] | None,
    references: References,
    metrics: Sequence[Metric],
    *,
    task: str = "",
    data: str = "",
    settings: Mapping[str, Any] | None = None,
    num_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 12345,
    num_shown: int = 5,
) -> Report:
    """Score predictions against references, with confidence intervals.

        report = evaluate(task.predict_text, sources, references, metrics_for("translation", "de"))
        report["bleu"].value

    Args:
        predict_or_hypotheses: A function from a list of sources to as many strings, or those
            strings.
        sources: What was predicted from. None is allowed with hypotheses; the report then shows no
            sources.
        references: One string, or several, per example.
        metrics: The metrics to compute.
        task: Name of the task, for the report.
        data: Which data this is, for the report.
        settings: How the predictions were made (checkpoint, beam size), for the report; values that
            JSON can hold.
        num_resamples: Bootstrap resamples of the confidence intervals; 0 leaves the intervals out.
        level: Level of the confidence intervals.
        seed: Seed of the resampling.
        num_shown: How many of the first examples the report shows.

    Raises:
        TypeError: When an example is not a string, or an entry of `metrics` is not a metric.
        ValueError: When there is no example or no metric, when lengths differ, or when two metrics
            share a name.
    """
    metrics = check_metrics(metrics)
    checked = check_references(references)
    if sources is not None:
        sources = check_texts("sources", sources)
        check_lengths("sources", sources, checked)
    if not callable(predict_or_hypotheses):
        hypotheses, checked = check_pairs(predict_or_hypotheses, checked)
    elif sources is None:
        raise ValueError(
            "`sources` must be given when predictions come from a function. Received: None"
        )
    else:
        hypotheses = run_predict(predict_or_hypotheses, sources)

    scores = []
    for metric in metrics:
        statistics = metric.statistics(hypotheses, checked)
        score = metric.score_statistics(statistics)
        if num_resamples:
            interval = bootstrap(
                metric, statistics, num_resamples=num_resamples, level=level, seed=seed
            )
            score = dataclasses.replace(score, interval=interval)
        scores.append(score)
    examples = map(Example, sources or [""] * len(checked), hypotheses, checked)
    return Report(
        task=task,
        data=data,
        scores=tuple(scores),
        settings=dict(settings or {}),
        examples=tuple(itertools.islice(examples, num_shown)),
        hypotheses=tuple(hypotheses),
    )


def run_predict(predict: Predict, sources: list[str]) -> list[str]:
    """Return what `predict` makes of `sources`, after checking that it is one string for each.

    Raises:
        TypeError: When the result is not a list of strings.
        ValueError: When there are more or fewer strings than sources.
    """
    predictions = predict(list(sources))
    if isinstance(predictions, (str, bytes)) or not hasattr(predictions, "__iter__"):
        raise TypeError(
            f"`predict` must return a list of strings. Received: {type(predictions).__name__}"
        )
    predictions = list(predictions)
    if len(predictions) != len(sources):
        raise ValueError(
            "`predict` must return one string for each source. "
            f"Received: {len(predictions)} strings for {len(sources)} sources"
        )
    for index, prediction in enumerate(predictions):
        if not isinstance(prediction, str):
            raise TypeError(
                "`predict` must return a list of strings. "
                f"Received: {prediction!r} of type {type(prediction).__name__} at index {index}"
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
