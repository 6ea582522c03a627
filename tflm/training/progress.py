"""What a person sees of a training run: tokens per second, loss, time left."""

import sys
import time
from typing import Any

import keras
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn


class ProgressBar(keras.callbacks.Callback):
    """A bar for the whole run on a terminal, a line per epoch anywhere else.

    Tokens are those that the loss is taken over (target tokens without padding), from the log
    `tokens`.

    Args:
        steps_per_epoch: batches in an epoch.
        epochs: epochs in the run.
        done: batches done by an earlier run that this one continues.
        console: where to write; standard output by default.
        interval: seconds between lines within an epoch where there is no terminal.
        accumulate: batches to an update.
    """

    def __init__(
        self,
        steps_per_epoch: int,
        epochs: int,
        done: int = 0,
        console: Console | None = None,
        interval: float = 60.0,
        accumulate: int = 1,
    ):
        super().__init__()
        self.steps_per_epoch = steps_per_epoch
        self.total = steps_per_epoch * epochs
        self.epochs = epochs
        self.done = done
        self.interval = interval
        self.accumulate = accumulate
        self.console = console or Console(file=sys.stdout)
        self._started_at = done
        self._epoch = 0
        self._tokens = 0.0
        self._rate = 0.0
        self._bar: Progress | None = None
        self._began = self._reported = self._epoch_began = time.monotonic()

    @property
    def updates(self) -> int:
        """Updates done: a batch that others are still added to has made none."""
        return self.done // self.accumulate

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Starts the clock, and the bar on a terminal."""
        self._began = self._reported = time.monotonic()
        self._started_at = self.done
        if self.console.is_terminal and self._bar is None:
            self._bar = Progress(
                TextColumn("epoch {task.fields[epoch]}"),
                BarColumn(),
                TextColumn("{task.completed}/{task.total} updates  {task.fields[status]}"),
                console=self.console,
            )
            total = self.total // self.accumulate
            self._bar.add_task("", total=total, completed=self.updates, epoch="", status="")
            self._bar.start()

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Starts the epoch's clock."""
        self._epoch = epoch + 1
        self._tokens = 0.0
        self._epoch_began = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Moves the bar, or writes a line now and then."""
        self.done += 1
        now = time.monotonic()
        tokens = float((logs or {}).get("tokens", 0.0))
        self._rate = tokens / max(now - self._epoch_began, 1e-9)
        status = self._status(logs or {}, now)
        if self._bar is not None:
            progress = f"{self._epoch}/{self.epochs}"
            self._bar.update(
                self._bar.task_ids[0], completed=self.updates, epoch=progress, status=status
            )
        elif now - self._reported >= self.interval:
            self._reported = now
            self._write(f"epoch {self._epoch}/{self.epochs}  update {self.updates}  {status}")

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Writes the epoch's line."""
        now = self._reported = time.monotonic()
        values = "  ".join(
            f"{name} {value:.4f}"
            for name, value in (logs or {}).items()
            if name.startswith("val_") and name != "val_tokens"
        )
        line = f"epoch {epoch + 1}/{self.epochs}  {self._status(logs or {}, now)}  {values}"
        self._write(f"{line}  {now - self._epoch_began:.0f} s")

    def on_train_end(self, logs: dict | None = None) -> None:
        """Takes the bar down."""
        self.close()

    def close(self) -> None:
        """Takes the bar down, also after an error."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _status(self, logs: dict[str, Any], now: float) -> str:
        per_batch = (now - self._began) / max(self.done - self._started_at, 1)
        left = per_batch * max(self.total - self.done, 0)
        loss = float(logs.get("loss", float("nan")))
        return f"loss {loss:.4f}  {self._rate:,.0f} tokens/s  ETA {clock(left)}"

    def _write(self, line: str) -> None:
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)


def clock(seconds: float) -> str:
    """Seconds as `h:mm:ss`."""
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
