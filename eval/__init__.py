"""Evaluation: the field's metrics, confidence intervals, reports, and a callback that scores
generated text.

Everything here is given predictions, or a function `predict(list[str]) -> list[str]`, never a
model. Keras is imported on the first use of `GenerateAndScore` only.
"""

from typing import TYPE_CHECKING

from tflm.eval.confidence import bootstrap
from tflm.eval.evaluation import evaluate
from tflm.eval.metrics import BLEU, CHRF, TER, Interval, Metric, Score, metrics_for
from tflm.eval.reports import Example, Report

if TYPE_CHECKING:
    from tflm.eval.callbacks import GenerateAndScore

__all__ = [
    "BLEU",
    "CHRF",
    "TER",
    "Example",
    "GenerateAndScore",
    "Interval",
    "Metric",
    "Report",
    "Score",
    "bootstrap",
    "evaluate",
    "metrics_for",
]


def __getattr__(name: str) -> object:
    if name == "GenerateAndScore":
        from tflm.eval.callbacks import GenerateAndScore

        return GenerateAndScore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
