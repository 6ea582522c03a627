"""One training run in one directory: tokenizer, checkpoints, weights; it resumes.

RUN/run.json           settings; a run goes on only with the same ones
RUN/tokenizer/         what was learned from the training text first
RUN/checkpoint         everything needed to go on after an interruption
RUN/epochs/            the last epochs' weights, and the best one's
RUN/model/             the finished task, for `Task.from_pretrained`
RUN/history.json       logs of every epoch, and the time all took
RUN/report/            scores of the finished task, and what it answered
"""

import dataclasses
import json
import math
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any, ClassVar

import keras
from rich.console import Console

from tflm import models
from tflm.data import BadLineReport
from tflm.eval import Report
from tflm.tasks.base import Task
from tflm.training.checkpoint import Checkpoint, KeepLastWeights
from tflm.training.files import write_atomically
from tflm.training.progress import ProgressBar, clock
from tflm.training.weights import (
    average_weights,
    load_weights,
    moving_average,
    save_weights,
    set_weights,
)


class TrainingRun:
    """Trains a task in a directory, from where it was left if it was.

    A subclass, in a file of this folder whose name ends in `_run`, is what `tflm train TASK` runs:
    it reads the data (`recipe_data`, `directory_data`), makes the task (`new_task`), says which
    options its batches have and what else watches its training, and scores the outcome.

    Args:
        out: the run's directory.
        data: raw examples by split: "train", and "valid" and "test" where there are some.
        settings: how to train, an instance of the class's `Settings`.
        console: where progress goes.

    Attributes:
        TASK: what `tflm train` calls it.
        Settings: a frozen dataclass of scalars with defaults, with at least `preset`, `epochs`,
            `average_last`, `seed` and `dtype`.
        RECIPES: recipes by name; a recipe has `settings`.

    Raises:
        ValueError: `out` holds a run with other settings, a split is empty, or no model is called
            as the settings say.
    """

    TASK: ClassVar[str] = ""
    Settings: ClassVar[Any]
    RECIPES: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, out: pathlib.Path, data: Mapping[str, Any], settings: Any, console: Console):
        self.out = out
        self.data = data
        self.settings = settings
        self.console = console
        models.find(settings.preset)  # an unknown one leaves nothing behind
        for split, examples in data.items():
            if next(iter(examples), None) is None:
                raise ValueError(f"`data` must hold examples. Received: none in split {split!r}")
        self._claim({"task": self.TASK, **dataclasses.asdict(settings)})

    @classmethod
    def recipe_data(
        cls, recipe: Any, directory: pathlib.Path, on_bad: str, report: BadLineReport
    ) -> dict[str, Any]:
        """The splits of a recipe's data set.

        Args:
            recipe: one of `RECIPES`.
            directory: the data set's.
            on_bad: "raise" at a malformed line, or "skip" it.
            report: counts what is skipped.

        Raises:
            FileNotFoundError: a file of the recipe is missing.
        """
        raise NotImplementedError

    @classmethod
    def directory_data(
        cls, directory: pathlib.Path, settings: Any, on_bad: str, report: BadLineReport
    ) -> dict[str, Any]:
        """The splits in a directory of the user's; the arguments are those of `recipe_data`.

        Raises:
            FileNotFoundError: there is no split called "train".
        """
        raise NotImplementedError

    def new_task(self) -> Task:
        """A compiled task with fresh weights."""
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

    def callbacks(self, task: Task) -> list[keras.callbacks.Callback]:
        """What watches training besides progress and checkpoints."""
        return []

    def _claim(self, wanted: dict[str, Any]) -> None:
        """Writes `run.json`, or checks that the one there says the same."""
        path = self.out / "run.json"
        if not path.exists():
            write_json(path, wanted)
            return
        # A setting younger than the run had the value that is its default now.
        found = {
            "task": self.TASK,
            **dataclasses.asdict(type(self.settings)()),
            **json.loads(path.read_text(encoding="utf-8")),
        }
        # More epochs continue a run; anything else would make it another one.
        names = {name for name in wanted | found if wanted.get(name) != found.get(name)}
        if names - {"epochs"}:
            if (self.out / "checkpoint").exists():
                differ = ", ".join(
                    f"{name}: {found.get(name)!r} there, {wanted.get(name)!r} now"
                    for name in sorted(names)
                )
                raise ValueError(
                    f"`out` must be a new directory or the same run. Received: {differ}"
                )
            # It ended before it had learned anything, from a setting that did not suit the data
            # say; its vocabulary is not ours.
            shutil.rmtree(self.out / "tokenizer", ignore_errors=True)
        write_json(path, wanted)

    def train(self) -> Task:
        """Fits, averages, saves the finished task in `out / "model"`.

        Raises:
            Interrupted: a signal stopped it; the same call goes on from there.
        """
        settings = self.settings
        keras.utils.set_random_seed(settings.seed)
        task = self.new_task()
        checkpoint = Checkpoint(self.out / "checkpoint", task)

        def save(parts: Any, path: str) -> None:
            with moving_average(task):
                save_weights(parts, path)

        keep = KeepLastWeights(self.out / "epochs", task.parts, settings.average_last, save)
        if checkpoint.restore():
            self.print(f"Resuming after {checkpoint.step} updates.")
            keep.best = min(
                (logs.get("val_loss", math.inf) for logs in checkpoint.history), default=math.inf
            )
        if checkpoint.epoch < settings.epochs:
            self._fit(task, checkpoint, keep)
        self._choose_weights(task, checkpoint, keep)
        write_json(
            self.out / "history.json",
            {"seconds": round(checkpoint.seconds, 1), "epochs": checkpoint.history},
        )
        self.print(f"Trained {checkpoint.epoch} epochs in {clock(checkpoint.seconds)}.")
        task.save_pretrained(self.out / "model")
        return task

    def _fit(self, task: Task, checkpoint: Checkpoint, keep: KeepLastWeights) -> None:
        settings, options = self.settings, self.data_options()
        steps = task.batches(self.data["train"], training=True, **options).num_batches(0)
        self.print(
            f"{settings.preset}: {task.model.count_params():,} parameters, "
            f"{steps} updates an epoch, {settings.epochs} epochs, {settings.dtype}"
        )
        progress = ProgressBar(steps, settings.epochs, checkpoint.step, self.console)
        try:
            task.fit(
                self.data["train"],
                validation_data=self.data.get("valid"),
                epochs=settings.epochs,
                initial_epoch=checkpoint.epoch,
                start_step=checkpoint.step,
                data_options=options,
                callbacks=[*self.callbacks(task), progress, keep, checkpoint],
                verbose=0,
            )
        finally:
            progress.close()

    def _choose_weights(self, task: Task, checkpoint: Checkpoint, keep: KeepLastWeights) -> None:
        """The mean of the last epochs, unless a single epoch has the lower validation loss."""
        set_weights(task.parts, average_weights(keep.kept(checkpoint.epoch)))
        if "valid" not in self.data:
            return
        # In the batches that the epochs were validated in, so that losses compare.
        average = task.evaluate(
            self.data["valid"], data_options=self.data_options(), return_dict=True, verbose=0
        )["loss"]
        best = min(logs.get("val_loss", math.inf) for logs in checkpoint.history)
        self.print(
            f"Validation loss: {average:.4f} of the mean of the last "
            f"{len(keep.kept(checkpoint.epoch))} epochs, {best:.4f} of the best epoch."
        )
        if best < average:
            load_weights(task.parts, keep.best_path)

    def print(self, line: str) -> None:
        """Writes a line as it is."""
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)


def write_json(path: pathlib.Path, value: Any) -> None:
    """Writes JSON, whole or not at all."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    write_atomically(
        path, lambda temporary: pathlib.Path(temporary).write_text(text, encoding="utf-8")
    )
