"""Score generated text while a model trains, so that every Keras callback can watch BLEU.

    scores = GenerateAndScore(predict, sources, references, [BLEU("de"), CHRF()])
    best = ModelCheckpoint("best.keras", monitor="val_bleu", mode="max", save_best_only=True)
    stop = EarlyStopping(monitor="val_bleu", mode="max", patience=5)
    model.fit(..., callbacks=[scores, best, stop])

The scores are in the logs of the epoch, hence also in `History` and in `CSVLogger`'s file.
"""

import itertools
import sys
from collections.abc import Sequence
from typing import Any

import keras

from tflm.eval.evaluation import Predict, check_metrics, run_predict
from tflm.eval.metrics.base import Metric, Score
from tflm.eval.metrics.examples import (
    References,
    check_lengths,
    check_references,
    check_texts,
)
from tflm.eval.reports import Example


class GenerateAndScore(keras.callbacks.Callback):
    """Generate on a validation sample at the end of epochs and put the scores into the logs.

    It must come before the callbacks that read its scores. Those need `mode="max"` (`mode="min"`
    for TER): Keras cannot tell the direction of a score that it does not compute.

    The sample is scored in the first epoch of a `fit`, in each epoch divisible by `every`, and in
    the last one. In the other epochs the logs repeat the last scores, for in Keras a monitored key
    that is missing makes `ModelCheckpoint` overwrite its best model, warns in `EarlyStopping` and
    leaves a hole in `History` and `CSVLogger`. A repeated score never counts as an improvement, so
    `patience`, which counts epochs, should be a multiple of `every`.

    Args:
        predict: Function from a list of sources to as many strings.
        sources: The sources of the sample.
        references: One string, or several, per source.
        metrics: The metrics; a score's key in the logs is `prefix` followed by the metric's name.
        every: Score every this many epochs.
        num_shown: Print this many of the first examples with the scores; 0 prints nothing.
        prefix: Start of the keys in the logs.

    Attributes:
        scores: The last scores by metric name, with their signatures.
        hypotheses: The last predictions.

    Raises:
        TypeError: When an example is not a string, or an entry of `metrics` is not a metric.
        ValueError: When there is no example or no metric, when lengths differ, when two metrics
            share a name, or when `every` or `num_shown` is too small.
    """

    def __init__(
        self,
        predict: Predict,
        sources: Sequence[str],
        references: References,
        metrics: Sequence[Metric],
        *,
        every: int = 1,
        num_shown: int = 3,
        prefix: str = "val_",
    ) -> None:
        super().__init__()
        if every < 1:
            raise ValueError(f"`every` must be 1 or more. Received: every={every}")
        if num_shown < 0:
            raise ValueError(f"`num_shown` must be 0 or more. Received: num_shown={num_shown}")
        self.predict = predict
        self.sources = check_texts("sources", sources)
        self.references = check_references(references)
        check_lengths("sources", self.sources, self.references)
        self.metrics = check_metrics(metrics)
        self.every = every
        self.num_shown = num_shown
        self.prefix = prefix
        self.scores: dict[str, Score] = {}
        self.hypotheses: list[str] = []

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Forget earlier scores: they are another model's."""
        self.scores = {}

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Score the sample when it is due, and write the newest scores into `logs`."""
        is_last = epoch + 1 == (self.params or {}).get("epochs")
        if not self.scores or is_last or (epoch + 1) % self.every == 0:
            self._score()
            if self.num_shown:
                self._show(epoch)
        if logs is not None:
            logs.update({self.prefix + name: score.value for name, score in self.scores.items()})

    def _score(self) -> None:
        self.hypotheses = run_predict(self.predict, self.sources)
        self.scores = {
            metric.name: metric.score(self.hypotheses, self.references) for metric in self.metrics
        }

    def _show(self, epoch: int) -> None:
        values = ", ".join(
            f"{self.prefix}{name} {score.format_value()}" for name, score in self.scores.items()
        )
        lines = [f"\nEpoch {epoch + 1}: {values} on {len(self.sources)} examples"]
        examples = map(Example, self.sources, self.hypotheses, self.references)
        shown = itertools.islice(examples, self.num_shown)
        lines += [example.format(indent="  ") for example in shown]
        text = "\n".join(lines) + "\n"
        # A terminal that lacks a character must not end a training run.
        encoding = sys.stdout.encoding or "utf-8"
        print(text.encode(encoding, "backslashreplace").decode(encoding))
