import math

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tflm.layers.positions import (
    LearnedPositions,
    rotary_tables,
    rotate,
    sinusoidal_positions,
    token_positions,
)


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
    np.testing.assert_array_equal(layer(np.array([2, 0, 6])), table[[2, 0, 6]])
    np.testing.assert_array_equal(layer(np.array([[1, 5], [3, 3]])), table[[[1, 5], [3, 3]]])


def test_learned_positions_compute_in_the_policys_dtype(assert_mixed):
    layer = LearnedPositions(7, 4, dtype="mixed_bfloat16")
    assert layer(np.arange(3)).dtype == "bfloat16"
    assert_mixed(layer)


def literal(positions):
    assert positions.dtype == "int32"
    return ops.convert_to_numpy(positions).tolist()


def test_positions_go_on_from_what_was_read():
    assert literal(token_positions(3)) == [[0, 1, 2]]
    assert literal(token_positions(2, index=5)) == [[5, 6]]


def test_positions_count_from_the_first_token_after_padding():
    padding = ops.convert_to_tensor([0, 2], "int32")
    assert literal(token_positions(4, 0, padding)) == [[0, 1, 2, 3], [0, 0, 0, 1]]
    assert literal(token_positions(1, 4, padding)) == [[4], [2]]


def test_positions_start_again_with_each_segment():
    segments = ops.convert_to_tensor([[0, 0, 0, 1, 1], [3, 4, 4, 4, 5]], "int32")
    expected = [[0, 1, 2, 0, 1], [0, 0, 1, 2, 0]]
    assert literal(token_positions(5, segment_ids=segments)) == expected


def test_rotation_turns_pairs_as_complex_numbers_do():
    random = np.random.default_rng(0)
    x = random.normal(size=(2, 3, 4, 6))
    frequencies, positions = np.array([1.0, 0.3, 0.01]), np.array([[0, 1, 2, 3], [5, 6, 7, 8]])
    found = rotate(ops.convert_to_tensor(x, "float32"), *rotary_tables(positions, frequencies))
    pairs = (x[..., :3] + 1j * x[..., 3:]) * np.exp(1j * positions[:, None, :, None] * frequencies)
    expected = np.concatenate([pairs.real, pairs.imag], axis=-1)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_products_of_rotated_vectors_depend_on_the_distance_alone():
    random = np.random.default_rng(1)
    query, key = (ops.convert_to_tensor(random.normal(size=(1, 1, 1, 4)), "float32") for _ in "qk")

    def product(i, j):
        turned = (
            rotate(x, *rotary_tables(np.array([[at]]), np.array([1.0, 0.2])))
            for x, at in ((query, i), (key, j))
        )
        return float(ops.sum(ops.multiply(*turned)))

    assert product(9, 4) == pytest.approx(product(5, 0), abs=1e-5)
    assert abs(product(9, 4) - product(9, 5)) > 1e-3


def test_a_factor_scales_both_tables():
    plain = rotary_tables(np.array([[3]]), np.array([0.5]))
    doubled = rotary_tables(np.array([[3]]), np.array([0.5]), 2.0)
    for one, two in zip(plain, doubled, strict=True):
        np.testing.assert_allclose(two, 2.0 * one, rtol=1e-6)


def test_learned_positions_survive_a_round_trip(assert_round_trip):
    assert_round_trip(LearnedPositions, max_length=11, dim=6)
