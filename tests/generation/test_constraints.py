import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tflm.generation import Limits
from tflm.generation.constraints import (
    NO_TOKEN,
    block_repeated_ngrams,
    block_tokens,
    penalize_repetition,
)

VOCAB = 6


def random_case(seed, length):
    random = np.random.default_rng(seed)
    logits = random.standard_normal((3, VOCAB)).astype("float32")
    return logits, random.integers(0, VOCAB, (3, length)).astype("int32")


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), length=st.integers(1, 9), size=st.integers(0, 4))
def test_blocked_are_exactly_the_tokens_that_repeat_an_ngram(seed, length, size):
    logits, history = random_case(seed, length)
    expected = logits.copy()
    for row in range(3):
        tokens = history[row].tolist()
        seen = {tuple(tokens[i : i + size]) for i in range(length - size + 1)}
        for token in range(VOCAB):
            text = [*tokens, token]
            if size and token not in (0, 3) and tuple(text[len(text) - size :]) in seen:
                expected[row, token] = -np.inf
    found = block_repeated_ngrams(tf.constant(logits), tf.constant(history), size, exempt=(0, 3))
    np.testing.assert_array_equal(found, expected)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10_000), length=st.integers(1, 9), penalty=st.sampled_from([0.5, 1.0, 1.3])
)
def test_repetition_penalty_divides_positive_and_multiplies_negative_logits_once(
    seed, length, penalty
):
    logits, history = random_case(seed, length)
    expected = logits.copy()
    for row in range(3):
        for token in set(history[row].tolist()) - {0}:
            factor = 1 / penalty if logits[row, token] > 0 else penalty
            expected[row, token] *= factor
    found = penalize_repetition(tf.constant(logits), tf.constant(history), penalty, exempt=(0,))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_eos_is_blocked_while_it_would_come_before_the_least_length():
    logits = tf.constant([[0.5, 1.5, 2.5, 3.5], [4.5, 5.5, 6.5, 7.5]])
    for step, blocked in ((1, True), (2, True), (3, False)):
        found = block_tokens(logits, (), tf.constant(step), min_length=3, eos_id=3).numpy()
        assert np.isneginf(found[:, 3]).all() == blocked
        np.testing.assert_array_equal(found[:, :3], logits[:, :3])


def test_nothing_is_blocked_where_nothing_ends_a_text():
    logits = tf.constant([[0.5, 1.5, 2.5]])
    found = block_tokens(logits, (1,), tf.constant(1), min_length=3, eos_id=-1).numpy()
    np.testing.assert_array_equal(found, [[0.5, -np.inf, 2.5]])


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("padding", [1, 2, 5])
def test_padding_is_part_of_no_ngram(size, padding):
    logits, history = random_case(size + 7 * padding, 6)
    padded = np.pad(history, [[0, 0], [padding, 0]], constant_values=NO_TOKEN)
    found, expected = (
        block_repeated_ngrams(tf.constant(logits), tf.constant(each), size)
        for each in (padded, history)
    )
    np.testing.assert_array_equal(found, expected)


def test_nothing_is_added_to_the_graph_when_a_constraint_is_off():
    logits, history = tf.zeros((2, 5)), tf.zeros((2, 3), tf.int32)
    assert penalize_repetition(logits, history, 1.0) is logits
    assert block_repeated_ngrams(logits, history, 0) is logits
    assert block_tokens(logits, (), tf.constant(1), 1, 3) is logits


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_length": 0}, "`max_length` must be at least 1. Received: 0"),
        (
            {"max_length": 4, "min_length": 5},
            "`min_length` must be between 0 and `max_length`. Received: min_length=5, max_length=4",
        ),
        ({"max_length": 4, "min_length": -1}, "Received: min_length=-1"),
        (
            {"max_length": 4, "no_repeat_ngram_size": -2},
            "`no_repeat_ngram_size` must be 0 .off. or more. Received: -2",
        ),
        (
            {"max_length": 4, "repetition_penalty": 0.0},
            "`repetition_penalty` must be positive. Received: 0.0",
        ),
    ],
)
def test_impossible_limits_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Limits(**arguments)


def test_blocked_tokens_are_never_left_and_others_as_they_were():
    logits, _ = random_case(4, 1)
    found = block_tokens(tf.constant(logits), (1, 4)).numpy()
    assert np.isneginf(found[:, [1, 4]]).all()
    np.testing.assert_array_equal(found[:, [0, 2, 3, 5]], logits[:, [0, 2, 3, 5]])
    early = block_tokens(tf.constant(logits), (1, 4), tf.constant(1), min_length=2, eos_id=4)
    np.testing.assert_array_equal(early, found)  # an eos that is blocked for both reasons
