"""Score predictions while a model trains, so that every Keras callback can watch BLEU.

    scores = GenerateAndScore(predict, sources, references, [BLEU("de"), CHRF()])
    best = ModelCheckpoint(
        "best.keras", monitor=scores.monitor, mode=scores.mode, save_best_only=True
    )
    stop = EarlyStopping(monitor="val_bleu", mode="max", patience=5)
    model.fit(..., callbacks=[scores, best, stop])

The scores are in the logs of the epoch, hence also in `History`, TensorBoard and `CSVLogger`'s
file.
"""

import itertools
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tflm.eval.evaluation import Predict, check_metrics, run_predict
from tflm.eval.metrics.base import Metric, Score
from tflm.eval.metrics.examples import as_list, check_lengths
from tflm.eval.reports import Example

ExportOnBest = Callable[[int, Score], object]


class GenerateAndScore(keras.callbacks.Callback):
    """Predict a validation sample at the end of epochs and put the scores into the logs.

    Text is what it was made for, but any metric will do: `predict` returns what the metrics want,
    labels or probabilities for a classifier, `Answer`s for question answering.

    It must come before the callbacks that read its scores. Those need `mode="max"` (`mode="min"`
    for TER): Keras cannot tell the direction of a score that it does not compute. `monitor` and
    `mode` of this callback are what to give them.

    The sample is scored in the first epoch of a `fit`, in each epoch divisible by `every`, and in
    the last one. In the other epochs the logs repeat the last scores, for in Keras a monitored key
    that is missing makes `ModelCheckpoint` overwrite its best model, warns in `EarlyStopping` and
    leaves a hole in `History` and `CSVLogger`. A repeated score never counts as an improvement, so
    `patience`, which counts epochs, should be a multiple of `every`. A `fit` whose `initial_epoch`
    follows the last epoch of the one before goes on with its scores, see also `go_on`.

    `predict` is called once with the whole sample and should keep what it compiles between calls:
    `task.__call__` does, a `tf.function` made inside `predict` does not.

    To publish the best model so far as a new version:

        GenerateAndScore(
            ..., export_on_best=lambda epoch, score: task.export("saved_models/translator")
        )

    Args:
        predict: Function from the list of sources to a list of as many predictions.
        sources: The sources of the sample: strings, or what else `predict` takes, for example pairs
            of a question and its context.
        references: The reference of each source, as the metrics want it.
        metrics: The metrics; a score's key in the logs is `prefix` followed by the metric's name.
        every: Score every this many epochs.
        num_shown: Print this many of the first examples with the scores; 0 prints nothing.
        prefix: Start of the keys in the logs.
        watch: Name of the metric that decides what is best; None is the first that has a better
            direction, which a ratio of lengths has not. Which one that is is the metric's own.
        export_on_best: Called with the epoch, from 0, and the watched score whenever that is better
            than all before. What it writes should be written beside and renamed, as `task.export`
            does, since training can end at any time. When it raises, training ends and the score
            does not count as the best.
        initial_value_threshold: A value the watched score must be better than to be the best, for
            training that goes on from an earlier `fit`.

    Attributes:
        scores: The last scores by metric name, with their signatures.
        hypotheses: The last predictions.
        best: The best watched score over all calls of `fit`, None before the first.
        best_epoch: Its epoch, from 0.
        monitor: The watched score's key in the logs; None where no metric has a better direction.
        mode: "max" or "min", which is better of the watched score; None as `monitor`.

    Raises:
        TypeError: When a reference is of the wrong type, or an entry of `metrics` is not a metric.
        ValueError: When there is no example or no metric, when lengths differ, when two metrics
            share a name, when `watch` is none of them or one of which neither direction is better,
            when nothing can be best and `export_on_best` is given, or when `every` or `num_shown`
            is too small.
    """

    def __init__(
        self,
        predict: Predict,
        sources: Sequence[Any],
        references: Sequence[Any],
        metrics: Sequence[Metric],
        *,
        every: int = 1,
        num_shown: int = 3,
        prefix: str = "val_",
        watch: str | None = None,
        export_on_best: ExportOnBest | None = None,
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__()
        if every < 1:
            raise ValueError(f"`every` must be 1 or more. Received: every={every}")
        if num_shown < 0:
            raise ValueError(f"`num_shown` must be 0 or more. Received: num_shown={num_shown}")
        self.predict = predict
        self.sources = as_list("sources", sources)
        self.metrics = check_metrics(metrics)
        for metric in self.metrics:
            metric.check_references(references)
        self.references = list(references)
        check_lengths("sources", self.sources, self.references)
        self.every = every
        self.num_shown = num_shown
        self.prefix = prefix
        self._watched = self._find(watch)
        self.monitor: str | None = None
        self.mode: str | None = None
        if self._watched is not None:
            self.monitor = prefix + self._watched.name
            self.mode = "max" if self._watched.higher_is_better else "min"
        elif export_on_best is not None:
            raise ValueError(
                "`export_on_best` needs a metric of which one direction is better. "
                f"Received: metrics={', '.join(metric.name for metric in self.metrics)}"
            )
        self.export_on_best = export_on_best
        self._best_value = initial_value_threshold
        self.best: Score | None = None
        self.best_epoch: int | None = None
        self.scores: dict[str, Score] = {}
        self.hypotheses: list[Any] = []
        self._repeated: dict[str, float] = {}
        self._next_epoch: int | None = None

    def go_on(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Repeat the scores of a `fit` that was interrupted, until an epoch is due.

        Args:
            epoch: The number of the epoch to go on with, from 0.
            logs: Those of the epoch before; where scores are missing, the first epoch is scored.
        """
        keys = [self.prefix + metric.name for metric in self.metrics]
        self.scores = {}
        self._repeated = {key: logs[key] for key in keys} if set(keys) <= set(logs) else {}
        self._next_epoch = epoch

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Forget the scores that would be repeated if they are another model's; the best stays."""
        if epoch != self._next_epoch:
            self.scores, self._repeated = {}, {}

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Score the sample when it is due, and write the newest scores into `logs`."""
        is_last = epoch + 1 == (self.params or {}).get("epochs")
        is_due = not self._repeated or is_last or (epoch + 1) % self.every == 0
        if is_due:
            self._repeated = self.score()
            if self.num_shown:
                self._show(epoch)
        self._next_epoch = epoch + 1
        if logs is not None:
            logs.update(self._repeated)
        if is_due:
            self._keep_best(epoch)

    def _find(self, watch: str | None) -> Metric | None:
        """Return the metric that decides what is best, None where none can."""
        directed = {m.name: m for m in self.metrics if m.higher_is_better is not None}
        if watch is None:
            return next(iter(directed.values()), None)
        if watch not in directed:
            known = ", ".join(directed) or "no name, for of none is one direction better"
            raise ValueError(f"`watch` must be one of {known}. Received: watch={watch!r}")
        return directed[watch]

    def score(self) -> dict[str, float]:
        """Score the sample now, in no epoch; return the values by their keys in the logs."""
        self.hypotheses = run_predict(self.predict, self.sources)
        self.scores = {
            metric.name: metric.score(self.hypotheses, self.references) for metric in self.metrics
        }
        return {self.prefix + name: score.value for name, score in self.scores.items()}

    def _keep_best(self, epoch: int) -> None:
        if self._watched is None:
            return
        score = self.scores[self._watched.name]
        if np.isnan(score.value):
            return
        if self._best_value is not None:
            gain = score.value - self._best_value
            if (gain if score.higher_is_better else -gain) <= 0:
                return
        if self.export_on_best is not None:
            self.export_on_best(epoch, score)
            if self.num_shown:
                better = "higher" if score.higher_is_better else "lower"
                value = score.format_value()
                print(f"Exported: {self.monitor} {value} is the best so far ({better} is better)")
        self.best, self.best_epoch, self._best_value = score, epoch, score.value

    def _show(self, epoch: int) -> None:
        values = ", ".join(
            f"{self.prefix}{name} {score.format_value()}" for name, score in self.scores.items()
        )
        lines = [f"\nEpoch {epoch + 1}: {values} on {len(self.sources)} examples"]
        examples = zip(self.sources, self.hypotheses, self.references, strict=True)
        for source, hypothesis, reference in itertools.islice(examples, self.num_shown):
            example = Example(_text(source), _text(hypothesis), _texts(reference))
            lines.append(example.format(indent="  "))
        text = "\n".join(lines) + "\n"
        # A terminal that lacks a character must not end a training run.
        encoding = sys.stdout.encoding or "utf-8"
        print(text.encode(encoding, "backslashreplace").decode(encoding))


def _text(value: Any) -> str:
    """Return any source or prediction as text to show: parts joined, numbers cut to 3 digits."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)) and all(isinstance(part, str) for part in value):
        return " | ".join(value)
    if isinstance(value, (list, tuple, np.ndarray)):
        return np.array2string(np.asarray(value), precision=3, separator=", ")
    return str(value)


def _texts(reference: Any) -> tuple[str, ...]:
    """Return a reference as texts to show; one without any is an empty text."""
    if isinstance(reference, (set, frozenset)):
        reference = sorted(reference)
    if isinstance(reference, (list, tuple)):
        return tuple(map(_text, reference)) or ("",)
    return (_text(reference),)
