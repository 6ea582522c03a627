import numpy as np
import pytest
import tensorflow as tf

from tflm.export.flat_cache import (
    carried,
    grows,
    moved_left,
    named,
    packed,
    sent,
    source_length,
    source_mask,
    widened,
)

KEYS = tf.reshape(tf.range(24.0), [2, 1, 4, 3])  # (N, H, t, K)
CACHE = {"step": [{"key": KEYS}], "memory": {"b": KEYS[:, 0], "a": KEYS}}


def test_every_tensor_has_a_name_and_finds_its_way_back():
    flat = named(CACHE)
    assert list(flat) == ["memory_a", "memory_b", "step_0_key"]
    specs = tf.nest.map_structure(lambda each: tf.TensorSpec(each.shape, tf.bfloat16), CACHE)
    back = packed(specs, dict(reversed(flat.items())))
    tf.nest.assert_same_structure(back, CACHE)
    assert back["step"][0]["key"].dtype == tf.bfloat16
    np.testing.assert_array_equal(tf.cast(back["memory"]["b"], tf.float32), KEYS[:, 0])


def test_a_client_carries_float32_of_any_length():
    assert carried(tf.cast(KEYS, tf.bfloat16)) == tf.TensorSpec([None, 1, None, 3], tf.float32)
    assert carried(tf.zeros([2, 5], tf.int32)) == tf.TensorSpec([None, 5], tf.int32)
    assert sent(tf.cast(KEYS, tf.bfloat16)).dtype == tf.float32
    assert sent(tf.constant([3])).dtype == tf.int32
    assert grows(KEYS) and not grows(KEYS[0])


@pytest.mark.parametrize("width", [2, 4, 7])
def test_a_cache_is_made_as_wide_as_asked(width):
    found = widened(KEYS, width).numpy()
    assert found.shape == (2, 1, width, 3)
    size = min(width, 4)
    np.testing.assert_array_equal(found[:, :, :size], KEYS[:, :, :size])
    assert not found[:, :, size:].any()
    assert widened(KEYS[:, 0], width).shape == (2, 4, 3)


def test_padding_moves_from_the_left_to_the_right():
    missing = tf.constant([0, 3])
    found = moved_left(KEYS, missing)
    np.testing.assert_array_equal(found[0], KEYS[0])
    np.testing.assert_array_equal(found[1, :, 0], KEYS[1, :, 3])
    ids = moved_left(tf.constant([[1, 2, 3, 4], [0, 0, 0, 9]]), missing)
    assert ids.numpy()[:, 0].tolist() == [1, 9]


def test_a_sources_mask_is_its_length():
    mask = tf.constant([[True, True, False, False], [True] * 4])
    lengths = source_length({"padding_mask": mask})
    assert lengths.numpy().tolist() == [2, 4]
    state = tf.zeros([2, 9])
    np.testing.assert_array_equal(source_mask({"a": state, "key": KEYS}, lengths), mask)
    np.testing.assert_array_equal(source_mask({"a": state, "key": KEYS[:, 0]}, lengths), mask)
