"""Training ends where it no longer helps, also where it was interrupted in between."""

from typing import Any

import keras


class Patience(keras.callbacks.EarlyStopping):
    """Keras's early stopping that counts on where an interrupted run left off.

    Args:
        patience: epochs in a row without a better value, after which training ends.
        monitor: the log that is watched.
        mode: "min" or "max", which is better.
        history: logs of every epoch done, read when training begins: a `Checkpoint`'s.

    Raises:
        ValueError: `patience` is less than 1.
    """

    def __init__(self, patience: int, monitor: str, mode: str, history: list[dict[str, float]]):
        if patience < 1:
            raise ValueError(f"`patience` must be at least 1. Received: patience={patience}")
        super().__init__(monitor=monitor, patience=patience, mode=mode)
        self.history = history

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Counts the epochs done: `fit` begins anew after an interruption."""
        super().on_train_begin(logs)
        for epoch, done in enumerate(self.history):
            self.on_epoch_end(epoch, done)
        # A run that went on after as many epochs, with less patience then, may have got better.
        self.model.stop_training = self.wait >= self.patience
        if not self.model.stop_training:
            self.stopped_epoch = 0

    def has_ended(self, model: Any) -> bool:
        """Whether training has come to its end in the epochs done."""
        self.set_model(model)
        self.on_train_begin()
        return self.wait >= self.patience
