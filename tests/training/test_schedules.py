import keras
import numpy as np
import pytest

from tflm.training.schedules import InverseSquareRoot, PerUpdate

STEPS = [1, 2, 10, 3999, 4000, 4001, 16000, 100_000]


@pytest.mark.parametrize("hidden_dim", [512, 1024])
def test_it_is_equation_three_of_the_paper(hidden_dim):
    warmup = 4000
    schedule = InverseSquareRoot(hidden_dim**-0.5 * warmup**-0.5, warmup)
    for step in STEPS:
        expected = hidden_dim**-0.5 * min(step**-0.5, step * warmup**-1.5)
        assert float(schedule(step - 1)) == pytest.approx(expected, rel=1e-5)


def test_it_peaks_at_the_end_of_warm_up_and_never_stands_still():
    schedule = InverseSquareRoot(0.002, 10)
    rates = [float(schedule(step)) for step in range(40)]
    assert np.argmax(rates) == 9
    assert rates[9] == pytest.approx(0.002)
    assert rates[0] == pytest.approx(0.0002)
    assert rates[39] == pytest.approx(0.001)


def test_an_optimizer_takes_the_rate_of_the_update_it_makes():
    optimizer = keras.optimizers.SGD(InverseSquareRoot(1.0, 4))
    weight = keras.Variable(np.zeros(3, "float32"))
    moved = []
    for _ in range(6):
        before = weight.numpy()[0]
        optimizer.apply([np.ones(3, "float32")], [weight])
        moved.append(before - weight.numpy()[0])
    np.testing.assert_allclose(moved, [0.25, 0.5, 0.75, 1.0, (4 / 5) ** 0.5, (4 / 6) ** 0.5], 1e-5)


def test_it_survives_keras_serialization():
    config = keras.optimizers.schedules.serialize(InverseSquareRoot(0.003, 123))
    again = keras.optimizers.schedules.deserialize(config)
    assert type(again) is InverseSquareRoot
    assert (again.peak, again.warmup_steps) == (0.003, 123)


@pytest.mark.parametrize("peak", [0.0, -1e-3])
def test_the_peak_must_be_positive(peak):
    with pytest.raises(ValueError, match=f"`peak` must be positive. Received: peak={peak}"):
        InverseSquareRoot(peak)


def test_warm_up_takes_an_update_at_least():
    expected = "`warmup_steps` must be at least 1. Received: warmup_steps=0"
    with pytest.raises(ValueError, match=expected):
        InverseSquareRoot(1e-3, warmup_steps=0)


def test_a_schedule_of_updates_holds_still_over_their_batches():
    schedule = PerUpdate(InverseSquareRoot(1.0, 4), 3)
    rates = [float(schedule(step)) for step in range(9)]
    assert rates == pytest.approx([0.25] * 3 + [0.5] * 3 + [0.75] * 3)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    assert (again.schedule.warmup_steps, again.batches) == (4, 3)
