import numpy as np
import tensorflow as tf

from tflm.layers.shapes import unflatten

N, T, D, E = 2, 3, 5, 7


def test_rows_come_back_to_their_texts():
    flat = np.arange(N * T * D, dtype="float32").reshape(N * T, D)
    found = unflatten(tf.constant(flat), tf.zeros((N, T, E)))
    np.testing.assert_array_equal(found, flat.reshape(N, T, D))


def test_a_known_length_needs_no_shape_in_the_graph():
    def ops_of(length):
        like = tf.TensorSpec([None, length, E], tf.float32)
        traced = tf.function(lambda x, y: unflatten(x, y)).get_concrete_function(
            tf.TensorSpec([None, D], tf.float32), like
        )
        x, y = tf.ones((N * T, D)), tf.zeros((N, T, E))
        assert traced(x, y).shape == (N, T, D)
        return {op.type for op in traced.graph.get_operations()}

    assert "Shape" not in ops_of(T)
    assert "Shape" in ops_of(None)
