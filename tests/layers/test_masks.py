import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tflm.layers.masks import (
    attention_bias,
    causal_mask,
    combine_masks,
    key_padding_mask,
    left_padding_mask,
    segment_mask,
)


def literal(mask):
    return ops.convert_to_numpy(mask).astype(int).tolist()


def test_the_causal_mask_shows_the_past_and_the_present():
    mask = causal_mask(3)
    assert mask.dtype == tf.bool
    assert literal(mask) == [[[[1, 0, 0], [1, 1, 0], [1, 1, 1]]]]


def test_the_causal_mask_shows_everything_cached():
    assert literal(causal_mask(2, index=3)) == [[[[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]]]


def test_a_window_shows_the_last_keys_only():
    assert literal(causal_mask(3, index=1, window=2)) == [
        [[[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]]]
    ]


def test_padding_on_the_left_is_hidden_from_every_query():
    mask = left_padding_mask(ops.convert_to_tensor([0, 2], "int32"), 3)
    assert literal(mask) == [[[[1, 1, 1]]], [[[0, 0, 1]]]]


def test_segments_see_themselves():
    mask = segment_mask(ops.convert_to_tensor([[4, 4, 7]], "int32"))
    assert literal(mask) == [[[[1, 1, 0], [1, 1, 0], [0, 0, 1]]]]


def test_the_causal_mask_takes_sizes_known_only_when_the_graph_runs():
    @tf.function(input_signature=[tf.TensorSpec([], tf.int32), tf.TensorSpec([], tf.int32)])
    def traced(num_queries, index):
        return causal_mask(num_queries, index)

    mask = traced(tf.constant(4), tf.constant(2))
    np.testing.assert_array_equal(mask, causal_mask(4, 2))


@pytest.mark.parametrize("dtype", ["bool", "int32"])
def test_the_padding_mask_hides_keys_from_every_query(dtype):
    padding_mask = ops.cast([[1, 1, 0], [1, 0, 0]], dtype)
    mask = key_padding_mask(padding_mask)
    assert mask.dtype == tf.bool
    assert literal(mask) == [[[[1, 1, 0]]], [[[1, 0, 0]]]]


def test_combined_masks_attend_where_every_mask_does():
    padding = key_padding_mask(ops.cast([[1, 1, 0], [0, 1, 1]], "bool"))
    combined = combine_masks(None, padding, causal_mask(3))
    assert literal(combined) == [
        [[[1, 0, 0], [1, 1, 0], [1, 1, 0]]],
        [[[0, 0, 0], [0, 1, 0], [0, 1, 1]]],
    ]


def test_no_mask_at_all_combines_to_none():
    assert combine_masks() is None
    assert combine_masks(None, None) is None


def test_a_single_mask_combines_to_itself():
    mask = causal_mask(2)
    assert combine_masks(None, mask) is mask


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_bias_is_finite_and_leaves_hidden_keys_no_weight(dtype):
    mask = ops.convert_to_tensor([[True, False, True, False]])
    bias = attention_bias(mask, dtype)
    assert bias.dtype == dtype
    values = ops.convert_to_numpy(ops.cast(bias, "float32"))
    assert np.isfinite(values).all()
    assert values[0, [0, 2]].tolist() == [0.0, 0.0]
    scores = ops.cast([[1.0, 40.0, -1.0, 20.0]], dtype) + bias
    weights = ops.convert_to_numpy(ops.cast(ops.softmax(scores, axis=-1), "float32"))
    assert weights[0, [1, 3]].tolist() == [0.0, 0.0]
    np.testing.assert_allclose(weights[0, [0, 2]], [0.8808, 0.1192], atol=4e-3)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_a_row_that_may_attend_nowhere_averages_instead_of_dividing_by_zero(dtype):
    scores = ops.cast([[0.5, -0.25, 1.0, 2.0]], dtype)
    hidden = attention_bias(ops.zeros((1, 4), "bool"), dtype)
    weights = ops.softmax(scores + hidden, axis=-1)
    np.testing.assert_allclose(ops.convert_to_numpy(ops.cast(weights, "float32")), 0.25)
