import keras
import numpy as np
import pytest

from tflm.training.patience import Patience


def log(*values):
    return [{"epoch": number, "val_f1": value} for number, value in enumerate(values, start=1)]


@pytest.fixture
def model():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    return model


def epochs(model, patience, scores, initial_epoch=0):
    """Epochs that `fit` does where `scores` are what the metric comes to."""

    def scored(epoch, logs):
        logs["val_f1"] = scores[epoch]

    history = model.fit(
        np.ones((3, 2)),
        np.ones((3, 1)),
        initial_epoch=initial_epoch,
        epochs=len(scores),
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=scored), patience],
        verbose=0,
    )
    return history.epoch


SCORES = [0.2, 0.5, 0.4, 0.5, 0.3, 0.9]  # from the second epoch on, three without a better one


@pytest.mark.parametrize("done", [0, 1, 3, 4])
def test_an_interrupted_run_ends_where_an_uninterrupted_one_does(model, done):
    patience = Patience(3, "val_f1", "max", log(*SCORES[:done]))
    assert epochs(model, patience, SCORES, done) == list(range(done, 5))


def test_lower_is_better_where_it_is_said_to_be(model):
    patience = Patience(2, "val_f1", "min", [])
    assert epochs(model, patience, SCORES) == [0, 1, 2]


def test_a_run_at_its_end_does_not_go_on_unless_there_is_more_patience(model):
    history = log(*SCORES[:5])
    assert Patience(3, "val_f1", "max", history).has_ended(model)
    assert not Patience(4, "val_f1", "max", history).has_ended(model)
    assert not Patience(3, "val_f1", "max", history[:4]).has_ended(model)


def test_patience_that_comes_later_counts_from_the_best_epoch(model):
    dipped = log(0.5, 0.4, 0.3, 0.2, 0.6, 0.7)
    assert not Patience(3, "val_f1", "max", dipped).has_ended(model)
    scores = [*(entry["val_f1"] for entry in dipped), 0.1, 0.1, 0.1, 0.9]
    assert epochs(model, Patience(3, "val_f1", "max", dipped), scores, 6) == [6, 7, 8]


def test_no_patience_is_refused():
    with pytest.raises(ValueError, match="`patience` must be at least 1. Received: patience=0"):
        Patience(0, "val_loss", "min", [])
