import math

import keras
import numpy as np
import pytest

from tflm.layers.activations import activation

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
