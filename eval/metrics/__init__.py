"""Metrics: sufficient statistics that add, scores that carry their settings."""

from tflm.eval.metrics.base import Interval, Metric, Score
from tflm.eval.metrics.bleu import BLEU
from tflm.eval.metrics.chrf import CHRF
from tflm.eval.metrics.defaults import metrics_for
from tflm.eval.metrics.ter import TER

__all__ = ["BLEU", "CHRF", "TER", "Interval", "Metric", "Score", "metrics_for"]
