import keras
import numpy as np
import pytest
import tensorflow as tf

from tflm.export.slice_update import slice_update, without_xla

RANDOM = np.random.default_rng(7)


@pytest.mark.parametrize(
    ("shape", "start", "written"),
    [
        ((3, 7, 2, 5), [0, 4, 0, 0], (3, 1, 2, 5)),
        ((3, 7, 2, 5), [0, 0, 0, 0], (3, 7, 2, 5)),
        ((4, 6), [0, 5], (4, 1)),
        ((4, 6), [2, 9], (2, 3)),  # beyond the end
        ((5,), [-3], (2,)),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_it_is_what_keras_has(shape, start, written, dtype):
    inputs = RANDOM.integers(0, 9, shape).astype(dtype)
    updates = RANDOM.integers(10, 99, written).astype(dtype)
    expected = keras.ops.slice_update(inputs, start, updates)
    np.testing.assert_array_equal(slice_update(inputs, start, updates), expected)
    np.testing.assert_array_equal(slice_update(inputs, tf.constant(start), updates), expected)


def test_in_a_graph_it_is_no_op_of_xlas():
    def write(inputs, index, updates):
        return keras.ops.slice_update(inputs, [0, index, 0], updates)

    specs = [
        tf.TensorSpec([None, 6, 3], tf.float32),
        tf.TensorSpec([], tf.int32),
        tf.TensorSpec([None, 1, 3], tf.float32),
    ]
    own = keras.ops.slice_update
    with without_xla():
        graph = tf.function(write, specs, autograph=False).get_concrete_function()
    assert keras.ops.slice_update is own
    assert not [op.type for op in graph.graph.get_operations() if op.type.startswith("Xla")]
    assert graph.structured_outputs.shape.as_list() == [None, 6, 3]
    found = graph(tf.zeros([2, 6, 3]), tf.constant(4), tf.ones([2, 1, 3])).numpy()
    assert found.sum(axis=(0, 2)).tolist() == [0, 0, 0, 0, 6, 0]
