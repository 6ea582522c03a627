import os
import pathlib
import signal
import threading

import keras
import numpy as np
import pytest
import safetensors.numpy
import tensorflow as tf

from tflm.training.checkpoint import Checkpoint, Interrupted, KeepLastWeights
from tflm.training.files import load_tensors

EPOCHS, STEPS, B, D, OUT = 3, 4, 6, 5, 2
SIGNALS = (signal.SIGINT, signal.SIGTERM)
_random = np.random.default_rng(0)
X = _random.normal(size=(EPOCHS * STEPS, B, D)).astype("float32")  # a batch for every update
Y = _random.normal(size=(EPOCHS * STEPS, B, OUT)).astype("float32")


def nobody(number, frame):
    raise RuntimeError(f"signal {number} reached nobody")


@pytest.fixture(autouse=True)
def handlers():
    """A signal that is not taken care of fails the test, and does not end the test run."""
    before = {number: signal.signal(number, nobody) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def new_task(seed=11, width=7):
    keras.utils.set_random_seed(seed)
    layers = [keras.layers.Dense(width, "relu"), keras.layers.Dropout(0.4), keras.layers.Dense(OUT)]
    model = keras.Sequential([keras.Input((D,)), *layers])
    model.compile(keras.optimizers.Adam(0.01), "mse", run_eagerly=True)
    return model


def train(checkpoint, *callbacks):
    """What is left of the run: the rest of an epoch, then whole ones, each update its own batch."""
    while checkpoint.epoch < EPOCHS:
        rest = slice(checkpoint.step, (checkpoint.epoch + 1) * STEPS)
        checkpoint.task.fit(
            tf.data.Dataset.from_tensor_slices((X[rest], Y[rest])),
            initial_epoch=checkpoint.epoch,
            epochs=checkpoint.epoch + 1,
            callbacks=[*callbacks, checkpoint],
            shuffle=False,
            verbose=0,
        )


def state_of(task):
    return [np.asarray(variable) for variable in (*task.variables, *task.optimizer.variables)]


class SendSignals(keras.callbacks.Callback):
    """Sends this process signals at the end of an update, counted from 1."""

    def __init__(self, update, *numbers):
        super().__init__()
        self.update = update
        self.numbers = numbers
        self.seen = 0

    def on_train_batch_end(self, batch, logs=None):
        self.seen += 1
        if self.seen == self.update:
            for number in self.numbers:
                os.kill(os.getpid(), number)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """A run that nobody disturbed."""
    checkpoint = Checkpoint(tmp_path_factory.mktemp("run") / "checkpoint", new_task())
    train(checkpoint)
    return checkpoint


def test_an_undisturbed_run_ends_with_its_last_checkpoint(uninterrupted):
    assert (uninterrupted.step, uninterrupted.epoch) == (EPOCHS * STEPS, EPOCHS)
    assert [logs["epoch"] for logs in uninterrupted.history] == [1, 2, 3]
    assert {type(value) for logs in uninterrupted.history for value in logs.values()} <= {
        int,
        float,
    }
    again = Checkpoint(uninterrupted.path, new_task(seed=99))
    assert again.restore()
    for one, other in zip(state_of(again.task), state_of(uninterrupted.task), strict=True):
        np.testing.assert_array_equal(one, other)
    assert again.history == uninterrupted.history
    assert (again.step, again.epoch) == (uninterrupted.step, uninterrupted.epoch)
    assert 0.0 < again.seconds <= uninterrupted.seconds


@pytest.mark.parametrize(
    "number, update, message",
    [
        (signal.SIGINT, 2, "stopped after 2 updates; saved in "),
        (signal.SIGTERM, 7, "stopped after 7 updates; saved in "),
        # The last update of an epoch: the epoch is finished first.
        (signal.SIGTERM, STEPS, "stopped after 1 epochs; saved in "),
    ],
)
def test_an_interrupted_run_goes_on_as_if_it_had_not_been(
    number, update, message, uninterrupted, tmp_path
):
    path = tmp_path / "checkpoint"
    with pytest.raises(Interrupted, match=message + str(path)):
        train(Checkpoint(path, new_task()), SendSignals(update, number))
    assert [signal.getsignal(n) for n in SIGNALS] == [nobody, nobody]
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint"]
    checkpoint = Checkpoint(path, new_task(seed=99))
    assert checkpoint.restore()
    assert (checkpoint.step, checkpoint.epoch) == (update, update // STEPS)
    assert len(checkpoint.history) == checkpoint.epoch
    assert checkpoint.seconds > 0.0
    train(checkpoint)
    assert (checkpoint.step, checkpoint.epoch) == (EPOCHS * STEPS, EPOCHS)
    assert [logs["epoch"] for logs in checkpoint.history] == [1, 2, 3]
    for one, other in zip(state_of(checkpoint.task), state_of(uninterrupted.task), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_second_signal_stops_at_once_and_the_last_checkpoint_stands(tmp_path):
    checkpoint = Checkpoint(tmp_path / "checkpoint", new_task())
    with pytest.raises(KeyboardInterrupt):
        train(checkpoint, SendSignals(STEPS + 2, signal.SIGTERM, signal.SIGINT))
    assert [signal.getsignal(n) for n in SIGNALS] == [nobody, nobody]
    again = Checkpoint(checkpoint.path, new_task())
    assert again.restore()
    assert (again.step, again.epoch) == (STEPS, 1)


def test_outside_the_main_thread_signals_stay_whose_they_were(tmp_path):
    checkpoint = Checkpoint(tmp_path / "checkpoint", new_task())
    seen = []

    def begin():
        checkpoint.on_train_begin()
        seen.append([signal.getsignal(n) for n in SIGNALS])
        checkpoint.on_train_end()

    thread = threading.Thread(target=begin)
    thread.start()
    thread.join()
    assert seen == [[nobody, nobody]]
    assert [signal.getsignal(n) for n in SIGNALS] == [nobody, nobody]


def test_there_is_nothing_to_restore_at_first(tmp_path):
    checkpoint = Checkpoint(tmp_path / "checkpoint", new_task())
    assert checkpoint.restore() is False
    assert (checkpoint.step, checkpoint.epoch, checkpoint.history) == (0, 0, [])


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    Checkpoint(tmp_path / "checkpoint", new_task()).save()
    other = Checkpoint(tmp_path / "checkpoint", new_task(width=8))
    before = other.task.get_weights()
    expected = (
        "`path` must hold a checkpoint of this network and optimizer. "
        rf"Received: {tmp_path}/checkpoint, which differs in \['optimizer/0002', .*'task/0000'"
    )
    with pytest.raises(ValueError, match=expected):
        other.restore()
    for one, now in zip(before, other.task.get_weights(), strict=True):
        np.testing.assert_array_equal(one, now)


def test_a_checkpoint_of_another_optimizer_is_refused(tmp_path):
    Checkpoint(tmp_path / "checkpoint", new_task()).save()
    task = new_task()
    task.compile(keras.optimizers.SGD(0.01), "mse")
    with pytest.raises(ValueError, match=r"network and optimizer. .* differs in \['optimizer/"):
        Checkpoint(tmp_path / "checkpoint", task).restore()


def test_a_save_that_fails_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    checkpoint = Checkpoint(tmp_path / "checkpoint", new_task())
    checkpoint.step = 5
    checkpoint.save()
    before = pathlib.Path(checkpoint.path).read_bytes()

    def fail(tensors, filename, metadata=None):
        pathlib.Path(filename).write_bytes(before[: len(before) // 2])
        raise OSError("No space left on device")

    monkeypatch.setattr(safetensors.numpy, "save_file", fail)
    checkpoint.step = 6
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save()
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint"]
    assert pathlib.Path(checkpoint.path).read_bytes() == before
    again = Checkpoint(checkpoint.path, new_task())
    assert again.restore() and again.step == 5


def test_batches_that_are_accumulated_make_one_update(tmp_path):
    checkpoint = Checkpoint(tmp_path / "checkpoint", new_task())
    checkpoint.step = 7
    assert checkpoint.updates == 7
    checkpoint.task.compile(keras.optimizers.SGD(gradient_accumulation_steps=3), "mse")
    assert checkpoint.updates == 2


def save_text(network, path):
    pathlib.Path(path).write_text(network["weights"], encoding="utf-8")


def keep_epochs(keep, losses, first=0):
    for epoch, loss in enumerate(losses, start=first):
        keep.network["weights"] = f"after {epoch + 1}"
        keep.on_epoch_end(epoch, {} if loss is None else {"val_loss": loss})


def files_in(directory):
    return {file.name: file.read_text(encoding="utf-8") for file in directory.iterdir()}


def test_exactly_the_last_epochs_and_the_best_are_kept(tmp_path):
    keep = KeepLastWeights(tmp_path, {}, 3, save_text)
    keep_epochs(keep, [3.0, 1.5, 1.75, 1.5, float("nan")])
    assert files_in(tmp_path) == {
        "epoch-0003.safetensors": "after 3",
        "epoch-0004.safetensors": "after 4",
        "epoch-0005.safetensors": "after 5",
        "best.safetensors": "after 2",
    }
    assert keep.best == 1.5
    assert keep.best_path == str(tmp_path / "best.safetensors")
    assert keep.kept(5) == [str(tmp_path / f"epoch-000{i}.safetensors") for i in (3, 4, 5)]
    assert keep.kept(2) == [keep.path(1), keep.path(2)]


def test_a_continued_run_knows_the_best_so_far(tmp_path):
    keep = KeepLastWeights(tmp_path, {}, 2, save_text)
    history = [{"val_loss": loss} for loss in (1.5, float("nan"), 1.0, 1.25)] + [{"epoch": 5.0}]
    assert [keep.improves(logs) for logs in history] == [True, False, True, False, False]
    assert keep.best == 1.0
    keep_epochs(keep, [1.25, None], first=6)
    assert files_in(tmp_path).keys() == {"epoch-0007.safetensors", "epoch-0008.safetensors"}
    keep_epochs(keep, [0.5], first=8)
    assert files_in(tmp_path) == {
        "epoch-0008.safetensors": "after 8",
        "epoch-0009.safetensors": "after 9",
        "best.safetensors": "after 9",
    }


def test_another_log_may_mark_the_best(tmp_path):
    keep = KeepLastWeights(tmp_path, {"weights": "these"}, 1, save_text, monitor="val_ter")
    keep.on_epoch_end(0, {"val_loss": 1.0})
    assert not (tmp_path / "best.safetensors").exists()
    keep.on_epoch_end(1, {"val_loss": 9.0, "val_ter": 0.5})
    assert files_in(tmp_path).keys() == {"epoch-0002.safetensors", "best.safetensors"}


def test_the_highest_value_may_be_the_best(tmp_path):
    keep = KeepLastWeights(tmp_path, {}, 1, save_text, "val_bleu", "max")
    for epoch, bleu in enumerate((0.0, 12.5, 12.5, 9.0)):
        keep.network["weights"] = f"after {epoch + 1}"
        keep.on_epoch_end(epoch, {"val_loss": -bleu, "val_bleu": bleu})
    assert files_in(tmp_path)["best.safetensors"] == "after 2" and keep.best == 12.5


def test_at_least_one_epoch_is_kept(tmp_path):
    with pytest.raises(ValueError, match="`count` must be at least 1. Received: count=0"):
        KeepLastWeights(tmp_path, {}, 0, save_text)


def test_a_checkpoint_is_one_file_with_a_position(uninterrupted):
    tensors, metadata = load_tensors(uninterrupted.path)
    assert {name.split("/")[0] for name in tensors} == {"task", "optimizer"}
    assert metadata.keys() == {"position"}
