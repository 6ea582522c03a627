import io
import types

import pytest
from rich.console import Console

from tflm.training import progress
from tflm.training.progress import ProgressBar, clock


@pytest.fixture
def time(monkeypatch):
    """A clock that the test moves, in place of the module's."""
    time = types.SimpleNamespace(now=100.0)
    monkeypatch.setattr(
        progress, "time", types.SimpleNamespace(monotonic=lambda: time.now), raising=True
    )
    return time


@pytest.fixture
def file():
    return io.StringIO()


@pytest.fixture
def terminal(file, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    return Console(file=file, force_terminal=True, width=120)


def train(bar, time, batches, epoch=0, seconds=2.0, **last):
    """One epoch in which every batch of 100 tokens takes `seconds`."""
    bar.on_epoch_begin(epoch)
    for batch in range(batches):
        time.now += seconds
        bar.on_train_batch_end(batch, {"loss": 3.0 - batch, "tokens": 100.0 * (batch + 1)})
    bar.on_epoch_end(epoch, {"loss": 3.0 - batch, "tokens": 100.0 * batches, **last})


def test_without_a_terminal_an_epoch_is_a_line(time, file):
    bar = ProgressBar(2, 3, console=Console(file=file))
    bar.on_train_begin()
    train(bar, time, 2, 0, val_loss=1.5, val_tokens=70.0, val_bleu=12.25)
    train(bar, time, 2, 1)
    train(bar, time, 2, 2)
    bar.on_train_end()
    assert [line.rstrip() for line in file.getvalue().splitlines()] == [
        "epoch 1/3  loss 2.0000  50 tokens/s  ETA 0:00:08  val_loss 1.5000  val_bleu 12.2500  4 s",
        "epoch 2/3  loss 2.0000  50 tokens/s  ETA 0:00:04    4 s",
        "epoch 3/3  loss 2.0000  50 tokens/s  ETA 0:00:00    4 s",
    ]


def test_a_long_epoch_says_where_it_is_now_and_then(time, file):
    bar = ProgressBar(7, 2, console=Console(file=file), interval=5.0)
    bar.on_train_begin()
    train(bar, time, 7)
    assert file.getvalue().splitlines()[:2] == [
        "epoch 1/2  update 3  loss 1.0000  50 tokens/s  ETA 0:00:22",
        "epoch 1/2  update 6  loss -2.0000  50 tokens/s  ETA 0:00:16",
    ]
    assert len(file.getvalue().splitlines()) == 3


def test_a_continued_run_counts_on_and_measures_its_own_speed(time, file):
    bar = ProgressBar(4, 2, done=6, console=Console(file=file), interval=0.0)
    bar.on_train_begin()
    train(bar, time, 2, epoch=1, seconds=3.0)
    first, second, _ = file.getvalue().splitlines()
    assert first == "epoch 2/2  update 7  loss 3.0000  33 tokens/s  ETA 0:00:03"
    assert second == "epoch 2/2  update 8  loss 2.0000  33 tokens/s  ETA 0:00:00"


def test_an_update_of_several_batches_is_one(time, file, terminal):
    """Five batches an epoch, two to an update: the odd one belongs to an update of the next."""
    bar = ProgressBar(5, 3, done=5, console=Console(file=file), interval=0.0, accumulate=2)
    bar.on_train_begin()
    train(bar, time, 5, epoch=1)
    *lines, _ = file.getvalue().splitlines()
    assert [line.split("  ")[1] for line in lines] == [f"update {i}" for i in (3, 3, 4, 4, 5)]
    assert lines[0].endswith("ETA 0:00:18") and lines[-1].endswith("ETA 0:00:10")
    bar = ProgressBar(5, 3, done=5, console=terminal, accumulate=2)
    bar.on_train_begin()
    train(bar, time, 5, epoch=1)
    bar.on_train_end()
    assert "2/7 updates" in file.getvalue() and "5/7 updates" in file.getvalue()


def test_logs_without_loss_or_tokens_do_no_harm(time, file):
    bar = ProgressBar(1, 1, console=Console(file=file))
    bar.on_train_begin()
    bar.on_epoch_begin(0)
    bar.on_train_batch_end(0)
    bar.on_epoch_end(0)
    assert file.getvalue().startswith("epoch 1/1  loss nan  0 tokens/s  ETA 0:00:00")


def test_lines_go_to_standard_output_unless_told_otherwise(time, capsys):
    bar = ProgressBar(1, 1)
    bar.on_train_begin()
    train(bar, time, 1)
    assert capsys.readouterr().out.startswith("epoch 1/1  loss 3.0000  50 tokens/s")


def test_a_terminal_shows_a_bar_of_the_whole_run(time, terminal, file):
    bar = ProgressBar(2, 3, done=2, console=terminal)
    bar.on_train_begin()
    train(bar, time, 2, epoch=1, val_loss=1.5)
    bar.on_train_end()
    shown = file.getvalue()
    assert "epoch 2/3" in shown
    assert "4/6 updates" in shown
    assert "50 tokens/s  ETA 0:00:04" in shown
    assert "val_loss 1.5000  4 s" in shown


def test_a_bar_is_taken_down_after_an_error_and_only_once(time, terminal, file):
    bar = ProgressBar(2, 3, console=terminal)
    bar.on_train_begin()
    bar.on_epoch_begin(0)
    bar.close()
    shown = file.getvalue()
    assert shown.endswith("\x1b[?25h")  # the cursor is back
    bar.close()
    bar.on_train_end()
    assert file.getvalue() == shown


@pytest.mark.parametrize(
    "seconds, expected",
    [(0, "0:00:00"), (59.9, "0:00:59"), (61, "0:01:01"), (3661, "1:01:01"), (360000, "100:00:00")],
)
def test_a_clock_reads_hours_minutes_and_seconds(seconds, expected):
    assert clock(seconds) == expected
