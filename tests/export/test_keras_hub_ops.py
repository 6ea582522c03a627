import keras
import pytest
import tensorflow as tf

from tflm.export.keras_hub_ops import in_a_graph, squeeze


def test_an_axis_of_unknown_size_is_squeezed():
    def scores(x):
        return keras.ops.squeeze(x, axis=1)

    def updated(x):
        return keras.ops.slice_update(x, [0, 1, 0], 7 * tf.ones([tf.shape(x)[0], 1, 2]))

    own = keras.ops.squeeze, keras.ops.slice_update
    any_size = tf.TensorSpec([None, None, 2], tf.float32)
    with pytest.raises(ValueError, match="Cannot squeeze axis=1"):
        tf.function(scores, input_signature=[any_size], autograph=False).get_concrete_function()
    with in_a_graph():
        assert keras.ops.squeeze is squeeze
        graph = tf.function(scores, input_signature=[any_size], autograph=False)
        graph.get_concrete_function()
        update = tf.function(updated, input_signature=[any_size], autograph=False)
        update.get_concrete_function()
    assert (keras.ops.squeeze, keras.ops.slice_update) == own
    assert graph(tf.constant([[[1.0, 2.0]], [[3.0, 4.0]]])).numpy().tolist() == [[1, 2], [3, 4]]
    ops = {node.op for node in update.get_concrete_function().graph.as_graph_def().node}
    assert not [op for op in ops if op.startswith("Xla")]
    assert update(tf.zeros([1, 2, 2])).numpy().tolist() == [[[0, 0], [7, 7]]]
