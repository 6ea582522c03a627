"""Evaluation: the field's metrics, confidence intervals, reports, and a callback that scores
generated text.

Everything here is given predictions, or a function `predict(list[str]) -> list[str]`, never a
model. Keras is imported on the first use of `GenerateAndScore` or a Keras metric only.
"""

import importlib
from typing import TYPE_CHECKING

from tflm.eval.catalog import metrics_for
from tflm.eval.confidence import bootstrap, bootstrap_all
from tflm.eval.cross_validation import CrossValidation, cross_validate
from tflm.eval.evaluation import evaluate
from tflm.eval.metrics import (
    AUROC,
    BLEU,
    CHRF,
    F1,
    ROUGE,
    TER,
    Accuracy,
    Answer,
    BitsPer,
    BrierScore,
    CalibrationError,
    CmrcExactMatch,
    CmrcF1,
    Distinct,
    EmptyShare,
    Interval,
    Label,
    LengthRatio,
    Likelihood,
    MatthewsCorrelation,
    Metric,
    Output,
    Perplexity,
    Precision,
    Recall,
    Repetition,
    Score,
    Squad2ExactMatch,
    Squad2F1,
    SquadExactMatch,
    SquadF1,
    TruncatedShare,
    confusion_matrix,
)
from tflm.eval.parallel import compute_statistics
from tflm.eval.reports import Example, Report
from tflm.eval.significance import Comparison, approximate_randomization, paired_bootstrap
from tflm.eval.spread import Spread, spread

if TYPE_CHECKING:
    from tflm.eval.callbacks import GenerateAndScore
    from tflm.eval.keras_metrics import F1Score, SpanExactMatch, TokenAccuracy, TokenPerplexity

__all__ = [
    "AUROC",
    "BLEU",
    "CHRF",
    "F1",
    "ROUGE",
    "TER",
    "Accuracy",
    "Answer",
    "BitsPer",
    "BrierScore",
    "CalibrationError",
    "CmrcExactMatch",
    "CmrcF1",
    "Comparison",
    "CrossValidation",
    "Distinct",
    "EmptyShare",
    "Example",
    "F1Score",
    "GenerateAndScore",
    "Interval",
    "Label",
    "LengthRatio",
    "Likelihood",
    "MatthewsCorrelation",
    "Metric",
    "Output",
    "Perplexity",
    "Precision",
    "Recall",
    "Repetition",
    "Report",
    "Score",
    "SpanExactMatch",
    "Spread",
    "Squad2ExactMatch",
    "Squad2F1",
    "SquadExactMatch",
    "SquadF1",
    "TokenAccuracy",
    "TokenPerplexity",
    "TruncatedShare",
    "approximate_randomization",
    "bootstrap",
    "bootstrap_all",
    "compute_statistics",
    "confusion_matrix",
    "cross_validate",
    "evaluate",
    "metrics_for",
    "paired_bootstrap",
    "spread",
]


_KERAS = {
    "GenerateAndScore": "tflm.eval.callbacks",
    "F1Score": "tflm.eval.keras_metrics",
    "SpanExactMatch": "tflm.eval.keras_metrics",
    "TokenAccuracy": "tflm.eval.keras_metrics",
    "TokenPerplexity": "tflm.eval.keras_metrics",
}


def __getattr__(name: str) -> object:
    if name in _KERAS:
        return getattr(importlib.import_module(_KERAS[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
