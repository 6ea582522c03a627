"""Training that survives interruption: one file holds everything a run needs to go on."""

import json
import os
import signal
import time
from typing import Any

import keras
import numpy as np

from tflm.training.files import load_tensors, save_tensors


class Interrupted(Exception):
    """A signal stopped training after a complete checkpoint was written."""


class Checkpoint(keras.callbacks.Callback):
    """Saves weights, optimizer, random states and position; stops cleanly on a signal.

    The file is written at the end of every epoch and when SIGINT or SIGTERM arrives, each time
    whole or not at all. Dropout's random states are among the variables and data order is a
    function of seed and epoch, so a run resumed from the file repeats what an uninterrupted one
    would have done.

    Args:
        path: the checkpoint's file.
        task: the model that trains.

    Attributes:
        step: batches done, in all runs together.
        epoch: epochs done.
        seconds: time spent in `fit`, in all runs together.
        history: one dict of logs per epoch done.
    """

    def __init__(self, path: str | os.PathLike, task: Any):
        super().__init__()
        self.path = os.fspath(path)
        self.task = task
        self.step = 0
        self.epoch = 0
        self.seconds = 0.0
        self.history: list[dict[str, float]] = []
        self._since = time.monotonic()
        self._signal: int | None = None
        self._handlers: dict[int, Any] = {}

    @property
    def updates(self) -> int:
        """Updates done: of one batch each, or of as many as the optimizer accumulates."""
        batches = getattr(self.task.optimizer, "gradient_accumulation_steps", None)
        return self.step // (batches or 1)

    def restore(self) -> bool:
        """Puts a saved state into task and optimizer, if there is one.

        Returns:
            Whether there was one.

        Raises:
            ValueError: the file belongs to another network or optimizer.
        """
        if not os.path.exists(self.path):
            return False
        tensors, metadata = load_tensors(self.path)
        variables = self._variables()
        # A scalar, such as the optimizer's count of updates, is stored as one element.
        shapes = {name: tuple(variable.shape) or (1,) for name, variable in variables.items()}
        stored = {name: array.shape for name, array in tensors.items()}
        if shapes != stored:
            wrong = sorted(name for name in shapes | stored if shapes.get(name) != stored.get(name))
            raise ValueError(
                "`path` must hold a checkpoint of this network and optimizer. "
                f"Received: {self.path}, which differs in {wrong}"
            )
        for name, variable in variables.items():
            variable.assign(tensors[name].reshape(variable.shape))
        position = json.loads(metadata["position"])
        self.step = position["step"]
        self.epoch = position["epoch"]
        self.seconds = position["seconds"]
        self.history = position["history"]
        return True

    def save(self) -> None:
        """Writes the state, whole or not at all."""
        tensors = {name: np.asarray(variable) for name, variable in self._variables().items()}
        position = {
            "step": self.step,
            "epoch": self.epoch,
            "seconds": self.seconds + time.monotonic() - self._since,
            "history": self.history,
        }
        save_tensors(self.path, tensors, {"position": json.dumps(position)})

    def _variables(self) -> dict[str, Any]:
        optimizer = self.task.optimizer
        if not optimizer.built:
            optimizer.build(self.task.trainable_variables)
        named = {f"task/{i:04d}": variable for i, variable in enumerate(self.task.variables)}
        named |= {f"optimizer/{i:04d}": variable for i, variable in enumerate(optimizer.variables)}
        return named

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Takes over SIGINT and SIGTERM, starts the clock."""
        self._since = time.monotonic()
        self._signal = None
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self._handlers[number] = signal.signal(number, self._on_signal)
            except ValueError:  # not the main thread: signals stay whose they were
                break

    def on_train_end(self, logs: dict | None = None) -> None:
        """Gives the signals back."""
        self.seconds += time.monotonic() - self._since
        self._release_signals()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Counts the batch; after a signal, saves and stops, but in the middle of an epoch only.

        Raises:
            Interrupted: a signal arrived.
        """
        self.step += 1
        # After an epoch's last batch the epoch is not over: `on_epoch_end` saves and stops then.
        last = batch + 1 == (self.params or {}).get("steps")
        if self._signal is not None and not last:
            self._release_signals()
            self.save()
            raise Interrupted(f"stopped after {self.updates} updates; saved in {self.path}")

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Saves at the end of the epoch; after a signal, stops.

        Raises:
            Interrupted: a signal arrived.
        """
        self.epoch = epoch + 1
        self.history.append(
            {"epoch": epoch + 1, **{name: float(value) for name, value in (logs or {}).items()}}
        )
        self.save()
        if self._signal is not None:
            self._release_signals()
            raise Interrupted(f"stopped after {self.epoch} epochs; saved in {self.path}")

    def _on_signal(self, number: int, frame: Any) -> None:
        if self._signal is not None:  # asked twice: stop now, the last checkpoint stands
            self._release_signals()
            raise KeyboardInterrupt
        self._signal = number

    def _release_signals(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}


class KeepLastWeights(keras.callbacks.Callback):
    """Keeps the weights of the last `count` epochs in files, for averaging, and of the best one.

    Args:
        directory: where `epoch-0001.safetensors` … and `best.safetensors` go.
        model: the network, in whatever form `save` takes it.
        count: how many epochs to keep.
        save: `save(model, path)`, writes one file whole or not at all.
        monitor: the log whose best value marks the best epoch.
        mode: "min" or "max", which value is better.

    Attributes:
        best: its best value so far.
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        model: Any,
        count: int,
        save: Any,
        monitor: str = "val_loss",
        mode: str = "min",
    ):
        super().__init__()
        if count < 1:
            raise ValueError(f"`count` must be at least 1. Received: count={count}")
        self.directory = os.fspath(directory)
        self.network = model
        self.count = count
        self.monitor = monitor
        self.mode = mode
        self.best = float("-inf" if mode == "max" else "inf")
        self._save = save

    def path(self, epoch: int) -> str:
        """The file of the weights after `epoch` epochs."""
        return os.path.join(self.directory, f"epoch-{epoch:04d}.safetensors")

    @property
    def best_path(self) -> str:
        """The file of the best epoch's weights."""
        return os.path.join(self.directory, "best.safetensors")

    def kept(self, epoch: int) -> list[str]:
        """The files of the last `count` epochs up to `epoch`, oldest first."""
        first = max(1, epoch - self.count + 1)
        return [self.path(number) for number in range(first, epoch + 1)]

    def improves(self, logs: dict[str, float]) -> bool:
        """Whether an epoch's logs are better than all before; from now on, they are the best.

        A run that is resumed asks of every epoch done, for what it says afterwards.
        """
        value = logs.get(self.monitor)
        if value is None or not (value > self.best if self.mode == "max" else value < self.best):
            return False
        self.best = value
        return True

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Saves this epoch's weights, then drops what is too old."""
        self._save(self.network, self.path(epoch + 1))
        if self.improves(logs or {}):
            self._save(self.network, self.best_path)
        old = self.path(epoch + 1 - self.count)
        if os.path.exists(old):
            os.remove(old)
