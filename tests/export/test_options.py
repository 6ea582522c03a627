import numpy as np
import pytest
import tensorflow as tf

from tflm.export.options import OPTIONS, write_by_options
from tflm.generation import Beam, Greedy

NAN = float("nan")


def options(rows, **changes):
    values = {name: np.zeros(rows) for name in OPTIONS} | changes
    return {name: tf.constant(values[name], dtype) for name, dtype in OPTIONS.items()}


def asked(given, own=Greedy()):  # noqa: B008
    """What each row is decoded with."""
    calls = []

    def write(rows, strategy, lengths, seeds):
        calls.append(strategy)
        drawn = seeds is not None
        alpha = getattr(strategy, "alpha", tf.zeros(tf.shape(rows)))
        return {
            "row": rows,
            "name": tf.fill(tf.shape(rows), "drawn" if drawn else "searched"),
            "length": lengths,
            "seed": seeds if drawn else tf.zeros_like(rows, tf.int64) - 1,
            "alpha": tf.zeros_like(strategy.temperature) if drawn else alpha,
            "temperature": strategy.temperature if drawn else tf.zeros(tf.shape(rows)),
            "top_k": strategy.top_k if drawn else tf.zeros_like(rows),
            "top_p": strategy.top_p if drawn else tf.zeros(tf.shape(rows)),
        }

    function = tf.function(lambda given: write_by_options(write, given, own, 20))
    found = {name: value.numpy().tolist() for name, value in function(given).items()}
    return found, calls


def test_rows_are_searched_or_drawn_and_come_back_in_order():
    found, _ = asked(options(5, temperature=[0.0, 1.5, -1.0, 0.2, NAN], seed=[1, 2, 3, 4, 5]))
    assert found["row"] == [0, 1, 2, 3, 4]
    assert found["name"] == [b"searched", b"drawn", b"searched", b"drawn", b"searched"]
    assert found["seed"] == [-1, 2, -1, 4, -1]
    assert found["temperature"] == pytest.approx([0.0, 1.5, 0.0, 0.2, 0.0])


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("temperature", [[0.0, 0.0], [1.0, 2.0]])
def test_all_rows_may_be_of_one_kind(temperature, eager):
    tf.config.run_functions_eagerly(eager)
    try:
        found, _ = asked(options(2, temperature=temperature))
    finally:
        tf.config.run_functions_eagerly(False)
    assert found["row"] == [0, 1]
    assert len(set(found["name"])) == 1


def test_what_is_out_of_range_is_moved_into_it():
    found, _ = asked(
        options(
            4,
            max_length=[0, -7, 99, 13],
            temperature=[1e-9, 1e9, 1.0, 1.0],
            top_k=[0, -2, 10**9, 3],
            top_p=[0.0, -1.0, NAN, 0.25],
        )
    )
    assert found["length"] == [20, 20, 20, 13]
    assert found["temperature"] == pytest.approx([1e-3, 1e3, 1.0, 1.0])
    assert found["top_p"] == [1.0, 1.0, 1.0, 0.25]
    assert found["top_k"] == [0, -2, 10**9, 3]  # which `SampleRows` takes


def test_a_beam_has_the_penalty_of_each_row_and_returns_one():
    own = Beam(4, 3, "power", 0.75)
    found, calls = asked(options(5, length_penalty=[0.0, 1.5, -99.0, 99.0, NAN]), own)
    assert found["alpha"] == [0.0, 1.5, -10.0, 10.0, 0.75]
    assert (calls[0].num_beams, calls[0].num_return, calls[0].length_penalty) == (4, 1, "power")
