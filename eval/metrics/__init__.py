"""Metrics: sufficient statistics that add, scores that carry their settings."""

from tflm.eval.metrics.base import Interval, Metric, Score
from tflm.eval.metrics.bleu import BLEU
from tflm.eval.metrics.calibration import AUROC, BrierScore, CalibrationError
from tflm.eval.metrics.chrf import CHRF
from tflm.eval.metrics.classification import Accuracy, MatthewsCorrelation, confusion_matrix
from tflm.eval.metrics.cmrc import CmrcExactMatch, CmrcF1
from tflm.eval.metrics.diversity import Distinct, Repetition
from tflm.eval.metrics.labels import Label
from tflm.eval.metrics.lengths import EmptyShare, LengthRatio, Output, TruncatedShare
from tflm.eval.metrics.perplexity import BitsPer, Likelihood, Perplexity
from tflm.eval.metrics.precision_recall import F1, Precision, Recall
from tflm.eval.metrics.rouge import ROUGE
from tflm.eval.metrics.squad import SquadExactMatch, SquadF1
from tflm.eval.metrics.squad2 import Answer, Squad2ExactMatch, Squad2F1
from tflm.eval.metrics.ter import TER

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
    "Distinct",
    "EmptyShare",
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
    "Score",
    "Squad2ExactMatch",
    "Squad2F1",
    "SquadExactMatch",
    "SquadF1",
    "TruncatedShare",
    "confusion_matrix",
]
