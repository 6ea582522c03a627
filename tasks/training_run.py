"""One training run in one directory: tokenizer, checkpoints, weights; it resumes.

RUN/run.json           settings and a hash of "train"; a run goes on only with the same ones
RUN/tokenizer/         what was learned from the training text first
RUN/checkpoint         everything needed to go on after an interruption
RUN/epochs/            the last epochs' weights, and those of the best one by the task's metric
RUN/model/             the finished task, for `Task.from_pretrained`
RUN/history.json       logs of every epoch, and the time all took
RUN/cleaning.json      with `clean`: how many examples each step changed and dropped
RUN/report/            scores of the finished task, and what it answered
"""

import dataclasses
import pathlib
import shutil
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import keras
from rich.console import Console

from tflm import machine, models, tokenizers
from tflm.eval import GenerateAndScore, Report
from tflm.tasks.base import Task
from tflm.tasks.fastest import AUTO, TRAINING_DTYPES, num_threads, training_dtype
from tflm.tasks.run_cleaning import CLEANING_FILE, clean_splits
from tflm.tasks.run_record import (
    TRAIN_DATA,
    claim,
    dtype_begun_with,
    fingerprint,
    write_json,
)
from tflm.tasks.setting_ranges import check_ranges
from tflm.tasks.task_data import TaskData
from tflm.tokenizers import Tokenizer
from tflm.training.checkpoint import Checkpoint, KeepLastWeights
from tflm.training.exclusive import exclusive
from tflm.training.files import remove_unfinished
from tflm.training.patience import Patience
from tflm.training.progress import ProgressBar, clock
from tflm.training.weights import (
    average_weights,
    load_weights,
    moving_average,
    save_weights,
    set_weights,
)


class TrainingRun(TaskData):
    """Trains a task in a directory, from where it was left if it was.

    A subclass, in a file of this folder whose name ends in `_run`, is what `tflm train TASK` runs:
    it reads the data (see `TaskData`), makes the task (`new_task`), says which options its batches
    have and what else watches its training, and scores the outcome.

    Args:
        out: the run's directory.
        data: raw examples by split: "train", and "valid" and "test" where there are some.
        settings: how to train, an instance of the class's `Settings`.
        console: where progress goes.
        clean: steps of `tflm.data.cleaning` that "train" is cleaned by, see
            `tflm.tasks.run_cleaning`.

    Attributes:
        TASK: what `tflm train` calls it.
        Settings: a frozen dataclass of scalars with defaults, with at least `preset`, `epochs`,
            `vocab_size`, `patience` (epochs without a better value of `monitor` after which
            training ends; 0: it does not), `accumulate` (batches to an update), `average_last`,
            `seed` and `dtype` ("auto": the fastest in training on this machine, and when a run
            goes on, its own). With a `start` that is not empty training starts from its network.
        RECIPES: recipes by name; a recipe has `settings`.
        NETWORKS: the kinds of network that the task takes.
        SCORED_AS: other tasks of the catalog of metrics that are scored on the same data.
        SCORED_WITH: options of `tflm evaluate` that say more of the model or the data, and whether
            one must be given where the model does not say it of itself.

    Raises:
        ValueError: `out` holds a run with other settings or of other data, or one that is training,
            a setting is out of its range, a split is empty, no model or no dtype is called as the
            settings say, the network is of a kind that the task does not take or cannot have the
            sizes they say, there is `patience` without a split "valid" or less than `score_every`,
            or `clean` does not suit the data.
    """

    TASK: ClassVar[str] = ""
    Settings: ClassVar[Any]
    RECIPES: ClassVar[Mapping[str, Any]] = {}
    NETWORKS: ClassVar[tuple[type, ...]] = (models.Model,)
    SCORED_AS: ClassVar[tuple[str, ...]] = ()
    SCORED_WITH: ClassVar[Mapping[str, bool]] = {}

    def __init__(
        self,
        out: pathlib.Path,
        data: Mapping[str, Any],
        settings: Any,
        console: Console,
        clean: Sequence[str] = (),
    ):
        check_ranges(settings)  # a wrong one leaves nothing behind
        self.out = out
        self.data = data
        self.settings, self._why_dtype = self._with_dtype(settings)
        self.console = console
        self.check()
        self._check_network()
        for split, examples in data.items():
            if next(iter(examples), None) is None:
                raise ValueError(f"`data` must hold examples. Received: none in split {split!r}")
        if settings.patience and "valid" not in data:
            raise ValueError(
                '`patience` must be 0 without a split "valid". '
                f"Received: patience={settings.patience}, splits {sorted(data)}"
            )
        # Until the next one a score is repeated, and so no better.
        if 0 < settings.patience < (every := getattr(settings, "score_every", 0)):
            raise ValueError(
                "`patience` must be at least `score_every`, the epochs from one score to the next, "
                f"or 0. Received: patience={settings.patience}, score_every={every}"
            )
        record = {"task": self.TASK, **dataclasses.asdict(self.settings)}
        self.validation_data, self.cleaned = data.get("valid"), None
        if clean:
            self.cleaned, self.validation_data = clean_splits(data, clean, *self.texts_of_rows())
            self.data = {**data, "train": self.cleaned}
            record["clean"] = [step.spec for step in self.cleaned.steps]
        record[TRAIN_DATA] = fingerprint(data["train"])  # as it was given
        out.mkdir(parents=True, exist_ok=True)
        with exclusive(out):
            # A setting younger than a run had the value that is its default now.
            same = {name: record[name] for name in ("task", TRAIN_DATA)}
            claim(out, record, dataclasses.asdict(type(settings)()) | same)

    def check(self) -> None:
        """Refuses what cannot train, before anything is written; a subclass's own rules."""

    def texts_of_rows(self) -> tuple[int, str]:
        """How many strings of a row are texts that may be cleaned, and their languages if known.

        Raises:
            ValueError: examples are no rows of whole texts.
        """
        raise ValueError(
            "`clean` must be left out where examples are not rows of texts that stand by "
            f"themselves. Received: task={self.TASK!r}"
        )

    def new_task(self) -> Task:
        """A compiled task with fresh weights."""
        raise NotImplementedError

    def train_tokenizer(self) -> Tokenizer:
        """A tokenizer learned from the training data."""
        raise NotImplementedError

    def tokenizer(self) -> Tokenizer:
        """The run's tokenizer, learned from the training data when it has none yet."""
        settings, folder = self.settings, self.out / "tokenizer"
        if not folder.is_dir():
            self.print(f"Learning a vocabulary of {settings.vocab_size} ({settings.algorithm}).")
            unfinished = self.out / "tokenizer.unfinished"
            # There may be that of a run that ended while it was written.
            shutil.rmtree(unfinished, ignore_errors=True)
            self.train_tokenizer().save(unfinished)
            unfinished.replace(folder)
        return tokenizers.load(folder)

    def vocabularies(self) -> list[str]:
        """Names of the vocabularies of a fresh network: one for both sides, or one for each."""
        return ["joint"]

    def fresh_network(self, vocab_sizes: Sequence[int]) -> tuple[type[models.Model], Any]:
        """What makes a fresh network: an architecture's class, and a `Config` as the settings say.

        Args:
            vocab_sizes: pieces of each of `vocabularies`.

        Raises:
            ValueError: no model is called as the settings say, or it cannot have these sizes.
        """
        raise NotImplementedError

    def data_options(self) -> dict[str, Any]:
        """The options of the task's `batches`."""
        raise NotImplementedError

    def evaluate(self, split: str) -> dict[str, Report]:
        """Scores the finished task on a split; writes `out / "report"`.

        Returns:
            Reports by the name of what was scored, a way of decoding say.
        """
        raise NotImplementedError

    @property
    def monitor(self) -> tuple[str, str]:
        """The log that says which epoch is the best, and which is better, "min" or "max"."""
        return "val_loss", "min"

    def callbacks(self, task: Task) -> list[keras.callbacks.Callback]:
        """What watches training besides progress and checkpoints."""
        return []

    def _check_network(self) -> None:
        """Refuses a network that cannot be, before a vocabulary is learned for it."""
        settings = self.settings
        network, _ = models.find(settings.preset)
        if not issubclass(network, self.NETWORKS):
            kinds = " or ".join(kind.__name__ for kind in self.NETWORKS)
            raise ValueError(
                f"`preset` must be of the kind of network that {self.TASK} takes, {kinds}. "
                f"Received: preset={settings.preset!r}"
            )
        if not getattr(settings, "start", ""):
            sizes = [settings.vocab_size] * len(self.vocabularies())
            models.check(*self.fresh_network(sizes))

    def _with_dtype(self, settings: Any) -> tuple[Any, str]:
        """Settings with a dtype, and why it is that where they leave it open."""
        if settings.dtype not in TRAINING_DTYPES:
            raise ValueError(
                f"`dtype` must be one of {', '.join(TRAINING_DTYPES)}. "
                f"Received: dtype={settings.dtype!r}"
            )
        if settings.dtype != AUTO:
            return settings, ""
        if begun_with := dtype_begun_with(self.out):
            return dataclasses.replace(settings, dtype=begun_with), "as it began"
        dtype, why = training_dtype()
        return dataclasses.replace(settings, dtype=dtype), f"for {why}"

    def train(self) -> Task:
        """Fits, averages, saves the finished task in `out / "model"`.

        Raises:
            Interrupted: a signal stopped it; the same call goes on from there.
            ValueError: another process is training in `out`.
        """
        with exclusive(self.out):
            for directory in (self.out, self.out / "epochs", self.out / "model"):
                remove_unfinished(directory)
            return self._train()

    def _train(self) -> Task:
        settings = self.settings
        if self.cleaned is not None:
            self.print(self.cleaned.summary())
            write_json(self.out / CLEANING_FILE, self.cleaned.counts())
        keras.utils.set_random_seed(settings.seed)
        task = self.new_task()
        checkpoint = Checkpoint(self.out / "checkpoint", task)

        def save(parts: Any, path: str) -> None:
            with moving_average(task):
                save_weights(parts, path)

        epochs, (name, mode) = self.out / "epochs", self.monitor
        keep = KeepLastWeights(epochs, task.parts, settings.average_last, save, name, mode)
        if checkpoint.restore():
            self.print(f"Resuming after {checkpoint.updates} updates.")
            for logs in checkpoint.history:
                keep.improves(logs)
        patience = []
        if settings.patience:
            patience = [Patience(settings.patience, name, mode, checkpoint.history)]
        ended = any(each.has_ended(task) for each in patience)
        if checkpoint.epoch < settings.epochs and not ended:
            self._fit(task, checkpoint, [*patience, keep])
        if checkpoint.epoch < settings.epochs:
            self.print(f"No better {name} in {settings.patience} epochs.")
        self._choose_weights(task, checkpoint, keep)
        write_json(
            self.out / "history.json",
            {"seconds": round(checkpoint.seconds, 1), "epochs": checkpoint.history},
        )
        self.print(f"Trained {checkpoint.epoch} epochs in {clock(checkpoint.seconds)}.")
        task.save_pretrained(self.out / "model")
        return task

    def _fit(
        self, task: Task, checkpoint: Checkpoint, watching: list[keras.callbacks.Callback]
    ) -> None:
        settings, options = self.settings, self.data_options()
        steps = task.batches(self.data["train"], training=True, **options).num_batches(0)
        self.print(
            f"{getattr(settings, 'start', '') or settings.preset}: "
            f"{task.model.count_params():,} parameters, "
            f"{steps / settings.accumulate:.10g} updates an epoch, {settings.epochs} epochs, "
            f"{settings.dtype}{self._why_dtype and f' {self._why_dtype}'}, {num_threads()} threads"
            f"{', oneDNN' if machine.chose_onednn() else ''}"
        )
        own = self.callbacks(task)
        for each in own:
            if isinstance(each, GenerateAndScore) and checkpoint.history:
                each.go_on(checkpoint.epoch, checkpoint.history[-1])
        place, accumulate = (settings.epochs, checkpoint.step), settings.accumulate
        progress = ProgressBar(steps, *place, self.console, accumulate=accumulate)
        try:
            task.fit(
                self.data["train"],
                validation_data=self.validation_data,
                epochs=settings.epochs,
                initial_epoch=checkpoint.epoch,
                start_step=checkpoint.step,
                data_options=options,
                callbacks=[*own, progress, *watching, checkpoint],
                verbose=0,
            )
        finally:
            progress.close()

    def _choose_weights(self, task: Task, checkpoint: Checkpoint, keep: KeepLastWeights) -> None:
        """The mean of the last epochs, unless the best epoch has the better value of `monitor`."""
        kept = keep.kept(checkpoint.epoch)
        mean = average_weights(kept)
        set_weights(task.parts, mean)
        if self.validation_data is None or not pathlib.Path(keep.best_path).is_file():
            return
        of_mean = self._monitored(task)
        load_weights(task.parts, keep.best_path)
        of_best = self._monitored(task)
        name, mode = self.monitor
        self.print(
            f"{name}: {of_mean:.4f} of the mean of the last {len(kept)} epochs, {of_best:.4f} of "
            "the best epoch."
        )
        if of_mean >= of_best if mode == "max" else of_mean <= of_best:
            set_weights(task.parts, mean)

    def _monitored(self, task: Task) -> float:
        """The value of `monitor` that the task's weights have now."""
        name, _ = self.monitor
        for scores in self.callbacks(task):
            if isinstance(scores, GenerateAndScore) and scores.monitor == name:
                return scores.score()[name]
        # In the batches that the epochs were validated in, so that losses compare.
        logs = task.evaluate(
            self.validation_data, data_options=self.data_options(), return_dict=True, verbose=0
        )
        return logs[name.removeprefix("val_")]

    def print(self, line: str) -> None:
        """Writes a line as it is."""
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)
