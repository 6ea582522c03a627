import keras
import pytest
import tensorflow as tf

from tflm.export.sharing import Shared, SharedStep, replaced

ROW = [tf.TensorSpec([None], tf.float32)]


@pytest.fixture
def dense():
    layer = keras.layers.Dense(3)
    layer.build((None, 2))
    return layer


def functions_of(*functions):
    """Names of the functions that graphs call."""
    graphs = [each.get_concrete_function().graph.as_graph_def() for each in functions]
    return [{function.signature.name for function in graph.library.function} for graph in graphs]


def test_two_graphs_call_one_function():
    traced = []
    shared = Shared(lambda x: traced.append(x) or x + 1.0, ROW)
    one = tf.function(lambda x: shared(x) * 2.0, input_signature=ROW, autograph=False)
    other = tf.function(lambda x: {"y": shared(shared(x))}, input_signature=ROW, autograph=False)
    first, second = functions_of(one, other)
    assert len(first) == 1
    assert first == second
    assert len(traced) == 1
    assert other(tf.constant([3.0]))["y"].numpy().tolist() == [5.0]


def test_nothing_is_shared_where_something_stands_for_a_weight(dense):
    shared = Shared(dense, [tf.TensorSpec([None, 2], tf.float32)], dense.weights)
    step = SharedStep(lambda ids, cache, index: (dense(ids), cache), dense.weights)
    assert not replaced(dense.weights)

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32)], autograph=False)
    def halved(x):
        with keras.StatelessScope([(w, 0.5 * w.value) for w in dense.weights]):
            assert replaced(dense.weights)
            return shared(x) + step(x, {})[0]

    (names,) = functions_of(halved)
    assert names == set()
    x = tf.constant([[1.0, -2.0]])
    tf.debugging.assert_near(halved(x), dense(x))


def growing(token_ids, cache, index):
    """Keys that grow, and a source that is read once."""
    new = tf.cast(token_ids, tf.float32)[:, None, :, None] + 0.0 * tf.cast(index, tf.float32)
    cache = dict(cache)
    if cache.pop("source", None) is not None:
        cache["num_read"] = tf.constant(7)
    keys = tf.concat([cache["step"]["key"], new], axis=2)
    return tf.reduce_sum(keys, axis=[1, 3]), {**cache, "step": {"key": keys}}


def test_first_and_later_steps_of_one_token_are_one_function():
    calls = []
    step = SharedStep(lambda *arguments: calls.append(arguments) or growing(*arguments))

    @tf.function(input_signature=[tf.TensorSpec([None, 1], tf.int32)], autograph=False)
    def two_steps(ids):
        cache = {"step": {"key": tf.zeros([tf.shape(ids)[0], 1, 0, 1])}, "last_only": True}
        _, cache = step(ids, cache)
        assert cache["last_only"] is True  # no tensor of it
        logits, cache = step(ids + 1, cache, 1)
        return logits, cache["step"]["key"]

    logits, keys = two_steps(tf.constant([[4], [6]]))
    assert logits.numpy().tolist() == [[4.0, 5.0], [6.0, 7.0]]
    assert keys.shape == (2, 1, 2, 1)
    assert len(calls) == 1


def test_what_a_step_takes_out_of_the_cache_is_gone():
    step = SharedStep(growing)

    @tf.function(input_signature=[tf.TensorSpec([None, 1], tf.int32)], autograph=False)
    def read(ids):
        cache = {"step": {"key": tf.zeros([tf.shape(ids)[0], 1, 0, 1])}, "source": ids}
        _, cache = step(ids, cache)
        assert sorted(cache) == ["num_read", "step"]
        return cache["num_read"]

    assert int(read(tf.constant([[5]]))) == 7
