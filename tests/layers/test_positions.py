import math

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tflm.layers.positions import LearnedPositions, sinusoidal_positions


def published(length, dim):
    """Section 3.5 of the paper, entry by entry."""
    table = np.zeros((length, dim))
    for position in range(length):
        for i in range(dim // 2):
            angle = position / 10000 ** (2 * i / dim)
            table[position, 2 * i] = math.sin(angle)
            table[position, 2 * i + 1] = math.cos(angle)
    return table


def test_sinusoids_are_the_published_ones_sines_first():
    expected = published(50, 12)
    found = ops.convert_to_numpy(sinusoidal_positions(50, 12))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:, :6], expected[:, 0::2], atol=1e-5)
    np.testing.assert_allclose(found[:, 6:], expected[:, 1::2], atol=1e-5)


def test_sinusoids_go_on_where_they_are_told_to():
    whole = ops.convert_to_numpy(sinusoidal_positions(9, 10))
    np.testing.assert_allclose(sinusoidal_positions(4, 10, index=5), whole[5:], atol=1e-6)


def test_sinusoids_take_lengths_known_only_when_the_graph_runs():
    @tf.function(input_signature=[tf.TensorSpec([], tf.int32), tf.TensorSpec([], tf.int32)])
    def traced(length, index):
        return sinusoidal_positions(length, 10, index)

    found = traced(tf.constant(4), tf.constant(5))
    np.testing.assert_allclose(found, sinusoidal_positions(4, 10, 5), atol=1e-6)


def test_sinusoids_refuse_an_odd_width():
    with pytest.raises(ValueError, match="`dim` must be even. Received: dim=7"):
        sinusoidal_positions(3, 7)


def test_learned_positions_are_rows_of_a_table(randomize):
    layer = LearnedPositions(7, 4)
    layer.build(None)
    table = ops.convert_to_numpy(randomize(layer).embeddings)
    np.testing.assert_array_equal(layer(length=3), table[:3])
    np.testing.assert_array_equal(layer(length=3, index=2), table[2:5])
    np.testing.assert_array_equal(layer(length=tf.constant(2), index=tf.constant(5)), table[5:])


def test_learned_positions_compute_in_the_policys_dtype(assert_mixed):
    layer = LearnedPositions(7, 4, dtype="mixed_bfloat16")
    assert layer(length=3).dtype == "bfloat16"
    assert_mixed(layer)


def test_learned_positions_survive_a_round_trip(assert_round_trip):
    assert_round_trip(LearnedPositions, max_length=11, dim=6)
