"""k-fold cross-validation: every example of a small data set is predicted once, by a model that has
not seen it."""

import dataclasses
import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tflm.eval.evaluation import Predict, check_metrics, run_predict
from tflm.eval.metrics.base import Metric, Score
from tflm.eval.spread import Spread, spread_of

Example = tuple[Any, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class CrossValidation:
    """The outcome of a cross-validation.

    Args:
        scores: By metric name, the score of all predictions together.
        folds: By metric name, mean and deviation of the folds' own scores.
        hypotheses: The prediction of each example, in the order of the examples.
        fold_of: The fold in which each example was held out, from 0 to k - 1.
    """

    scores: dict[str, Score]
    folds: dict[str, Spread]
    hypotheses: tuple[Any, ...]
    fold_of: tuple[int, ...]


def cross_validate(
    fit: Callable[[list[Example]], Predict],
    examples: Sequence[Example],
    metrics: Sequence[Metric],
    *,
    k: int = 5,
    seed: int = 12345,
) -> CrossValidation:
    """Train `k` times on all folds but one, and score the predictions on the one left out.

        def fit(examples):
            task = make_task()
            task.fit(examples, epochs=10)
            return task.predict

        result = cross_validate(fit, pairs, [BLEU("de")], k=10)
        result.scores["bleu"].value, result.folds["bleu"].deviation

    Args:
        fit: Function from training examples to a function that predicts: from a list of sources to
            as many predictions. It must start from fresh weights at every call.
        examples: Pairs of a source and what is expected of it, one string or several (or whatever
            the metrics compare with).
        metrics: The metrics.
        k: Number of folds; as many as examples leaves one out at a time. Folds differ by at most
            one example in size.
        seed: Seed of the assignment to folds.

    Raises:
        TypeError: When an entry of `metrics` is not a metric, or predictions are not a list.
        ValueError: When `k` is not from 2 to the number of examples, an example is not a pair, two
            metrics share a name, or a fold gets more or fewer predictions than sources.
    """
    metrics = check_metrics(metrics)
    examples = _checked_pairs(examples)
    if not 2 <= k <= len(examples):
        raise ValueError(
            "`k` must be from 2 to the number of examples. "
            f"Received: k={k}, {len(examples)} examples"
        )
    shuffled = list(range(len(examples)))
    random.Random(seed).shuffle(shuffled)
    hypotheses: list[Any] = [None] * len(examples)
    fold_of = [0] * len(examples)
    rows: list[list[np.ndarray]] = []  # by fold, then metric
    for fold in range(k):
        held_out = sorted(shuffled[fold::k])
        chosen = set(held_out)
        predict = fit([example for i, example in enumerate(examples) if i not in chosen])
        sources, references = zip(*(examples[i] for i in held_out), strict=True)
        predictions = run_predict(predict, list(sources))
        rows.append([metric.statistics(predictions, list(references)) for metric in metrics])
        for i, prediction in zip(held_out, predictions, strict=True):
            hypotheses[i], fold_of[i] = prediction, fold
    scores, folds = {}, {}
    for metric, parts in zip(metrics, zip(*rows, strict=True), strict=True):
        scores[metric.name] = score = metric.score_statistics(np.concatenate(parts))
        values = [metric.score_statistics(part).value for part in parts]
        folds[metric.name] = spread_of(score, values)
    return CrossValidation(
        scores=scores, folds=folds, hypotheses=tuple(hypotheses), fold_of=tuple(fold_of)
    )


def _checked_pairs(examples: Sequence[Example]) -> list[Example]:
    examples = list(examples)
    for index, example in enumerate(examples):
        if not isinstance(example, (tuple, list)) or len(example) != 2:
            raise ValueError(
                "`examples` must be pairs of a source and what is expected. "
                f"Received: examples[{index}]={example!r}"
            )
    return examples
