import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tflm.layers.activations import activate, activation

X = np.linspace(-4.0, 4.0, 33).astype("float32")


def test_names_of_keras_are_known():
    assert activation("relu") is keras.activations.relu
    assert activation("silu") is keras.activations.silu


def test_gelu_by_a_hyperbolic_tangent():
    expected = 0.5 * X * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (X + 0.044715 * X**3)))
    np.testing.assert_allclose(activation("gelu_tanh")(X), expected, atol=1e-6)


def test_gelu_by_a_sigmoid():
    expected = X / (1.0 + np.exp(-1.702 * X))
    np.testing.assert_allclose(activation("gelu_sigmoid")(X), expected, atol=1e-6)


def test_the_approximations_are_near_the_exact_gelu():
    exact = [0.5 * x * (1.0 + math.erf(x / math.sqrt(2.0))) for x in X.tolist()]
    for name, tolerance in (("gelu", 1e-6), ("gelu_tanh", 1e-3), ("gelu_sigmoid", 3e-2)):
        np.testing.assert_allclose(activation(name)(X), exact, atol=tolerance)


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="`activation` must be a name of keras.*'nothing'"):
        activation("nothing")


@pytest.mark.parametrize("name", ["gelu", "gelu_tanh"])
def test_what_is_learned_through_in_bfloat16_has_the_values_and_slopes_of_float32(name):
    function, x = (
        activation(name),
        tf.constant(np.linspace(-6.0, 6.0, 70).reshape(7, 10), "bfloat16"),
    )
    upstream = tf.cast(tf.reshape(tf.range(70) % 5 - 2, (7, 10)), "bfloat16")

    def value_and_gradient(x, run):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = run(x)
        gradient = tape.gradient(y, x, tf.cast(upstream, x.dtype))
        return [tf.cast(each, "float32").numpy() for each in (y, gradient)]

    exact = value_and_gradient(tf.cast(x, "float32"), function)
    graph = tf.function(lambda x: activate(function, x, training=True), autograph=False)
    for run in (lambda x: activate(function, x, training=True), graph):
        found = value_and_gradient(x, run)
        for ours, theirs in zip(found, exact, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1.5 * 2**-8, atol=1e-5)


def test_what_is_not_learned_through_is_keras_s_own():
    x = tf.constant(X, "bfloat16")
    for name in ("gelu", "gelu_tanh", "relu"):
        for training in (False, None):
            expected = activation(name)(x).numpy()
            np.testing.assert_array_equal(activate(activation(name), x, training), expected)
    np.testing.assert_array_equal(activate(activation("relu"), x, True), activation("relu")(x))
    np.testing.assert_array_equal(activate(activation("gelu"), X, True), activation("gelu")(X))
