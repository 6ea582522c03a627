import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tflm.generation.top_k import BLOCK, top_k


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    vocab_size=st.sampled_from([8 * BLOCK, 9 * BLOCK, 8 * BLOCK + 1, 10 * BLOCK - 3]),
    k=st.integers(1, 2),
    levels=st.integers(1, 400),
    seed=st.integers(0, 1000),
)
def test_equals_tensorflows_own_also_between_equals(vocab_size, k, levels, seed):
    values = np.random.default_rng(seed).integers(0, levels, (3, vocab_size)).astype("float32")
    expected, expected_columns = tf.math.top_k(values, k)
    found, columns = top_k(tf.constant(values), k)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(columns, expected_columns)


def test_of_equals_the_lowest_column_wins_although_a_later_block_has_the_maximum():
    values = np.zeros((1, 8 * BLOCK), "float32")
    values[0, [5, 3 * BLOCK, 3 * BLOCK + 1]] = 1.0, 2.0, 1.0
    assert top_k(tf.constant(values), 2)[1].numpy().tolist() == [[3 * BLOCK, 5]]


def test_wide_k_and_unknown_width_take_the_plain_path():
    values = tf.random.stateless_normal((2, 3 * BLOCK + 5), [1, 2])
    unknown = tf.function(lambda x: top_k(x, 7), input_signature=[tf.TensorSpec((None, None))])
    for found in (top_k(values, 7), unknown(values), top_k(values, tf.constant(7))):
        np.testing.assert_array_equal(found[1], tf.math.top_k(values, 7)[1])


def test_columns_stay_in_the_vocabulary_when_too_few_entries_are_finite():
    values = np.full((1, 8 * BLOCK + 1), -np.inf, "float32")
    values[0, 8 * BLOCK] = 1.5
    found, columns = top_k(tf.constant(values), 2)
    assert columns.numpy()[0, 0] == 8 * BLOCK
    assert found.numpy()[0].tolist() == [1.5, -np.inf]
    assert columns.numpy().max() <= 8 * BLOCK
    assert top_k(tf.zeros((0, 8 * BLOCK + 1)), 2)[1].shape == (0, 2)
