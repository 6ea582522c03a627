import numpy as np
import pytest
import tensorflow as tf

from tflm.layers.dropout import Dropout


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5, 0.9])
def test_a_share_is_lost_and_the_mean_stays(rate):
    x = np.full((50, 40, 101), 2.0, "float32")
    y = np.asarray(Dropout(rate, seed=3)(x, training=True))
    assert abs((y == 0).mean() - rate) < 1 / 256
    assert len(np.unique(y)) == 2
    assert abs(y.mean() - 2.0) < 0.03


def test_each_call_and_each_place_draws_anew():
    layer, x = Dropout(0.5, seed=3), np.ones((64, 33), "float32")
    one, other = (np.asarray(layer(x, training=True)) > 0 for _ in range(2))
    assert 0.4 < (one == other).mean() < 0.6
    for axis in (0, 1):
        assert 0.4 < (one == np.roll(one, 1, axis)).mean() < 0.6


def test_a_seed_says_what_is_lost():
    x = np.ones((7, 5), "float32")
    one, same, other = (Dropout(0.5, seed=seed)(x, training=True) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, same)
    assert (np.asarray(one) != np.asarray(other)).any()


@pytest.mark.parametrize("shape", [(3,), (2, 3, 5), (0, 4)])
def test_any_shape_and_dtype_in_a_graph(shape):
    layer = Dropout(0.5, seed=3, dtype="bfloat16")
    spec = tf.TensorSpec([None] * len(shape), tf.bfloat16)
    call = tf.function(lambda x: layer(x, training=True), input_signature=[spec])
    y = call(tf.ones(shape, tf.bfloat16))
    assert (y.shape, y.dtype) == (shape, tf.bfloat16)
    assert set(np.unique(np.asarray(y, "float32"))) <= {0.0, 2.0}


def test_gradients_pass_where_values_do():
    layer, x = Dropout(0.5, seed=3), tf.ones((9, 11))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=True)
    np.testing.assert_array_equal(tape.gradient(y, x), y)


def test_outside_training_nothing_is_lost():
    x = np.random.default_rng(0).normal(size=(3, 5)).astype("float32")
    for layer in (Dropout(0.5), Dropout(0.0), Dropout(0.001)):
        np.testing.assert_array_equal(layer(x), x)
    np.testing.assert_array_equal(Dropout(0.0)(x, training=True), x)


def test_rates_that_a_byte_does_not_have_and_shapes_of_noise_are_keras_s():
    x = np.ones((400, 400), "float32")
    lost = (np.asarray(Dropout(0.001, seed=3)(x, training=True)) == 0).mean()
    assert 0.0005 < lost < 0.002
    rows = np.asarray(Dropout(0.4, noise_shape=(None, 1), seed=3)(x, training=True))
    assert set((rows == 0).mean(axis=1)) == {0.0, 1.0}


def test_dropout_survives_a_round_trip(assert_round_trip):
    again = assert_round_trip(Dropout, rate=0.3, noise_shape=(None, 1), seed=7)
    assert (again.rate, again.noise_shape) == (0.3, (None, 1))
