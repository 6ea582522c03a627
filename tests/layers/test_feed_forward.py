import numpy as np
import pytest
from keras import ops

from tflm.layers.feed_forward import FeedForward

B, T, D, F = 2, 3, 6, 10


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(B, T, D)).astype("float32")


@pytest.fixture
def built(randomize):
    def build(**arguments):
        layer = FeedForward(D, F, **arguments)
        layer.build((B, T, D))
        return randomize(layer)

    return build


@pytest.mark.parametrize(
    "activation, function", [("relu", lambda x: np.maximum(x, 0.0)), ("tanh", np.tanh)]
)
def test_it_is_equation_two_of_the_paper(built, x, activation, function):
    layer = built(activation=activation)
    w1, b1, w2, b2 = (ops.convert_to_numpy(weight) for weight in layer.weights)
    assert w1.shape == (D, F) and w2.shape == (F, D)
    np.testing.assert_allclose(layer(x), function(x @ w1 + b1) @ w2 + b2, rtol=1e-4, atol=1e-5)


def test_the_activation_is_relu_unless_told_otherwise(built, x):
    np.testing.assert_array_equal(built()(x), built(activation="relu")(x))


def test_dropout_is_on_in_training_only(built, x):
    layer = built(dropout=0.5)
    np.testing.assert_array_equal(layer(x, training=False), built()(x))
    assert np.abs(layer(x, training=True) - layer(x, training=False)).max() > 1e-3


def test_it_computes_in_the_policys_dtype(assert_mixed, x):
    layer = FeedForward(D, F, dropout=0.5, dtype="mixed_bfloat16")
    assert layer(x).dtype == "bfloat16"
    assert_mixed(layer)


def test_gated_it_is_equation_six_of_glu_variants(built, x):
    layer = built(activation="tanh", gated=True, use_bias=False)
    gate, up, down = (
        ops.convert_to_numpy(dense.kernel) for dense in (layer.gate, layer.up, layer.down)
    )
    assert len(layer.weights) == 3
    expected = (np.tanh(x @ gate) * (x @ up)) @ down
    np.testing.assert_allclose(layer(x), expected, rtol=1e-4, atol=1e-5)


def test_it_survives_a_round_trip(assert_round_trip):
    again = assert_round_trip(
        FeedForward,
        hidden_dim=6,
        ffn_dim=10,
        activation="gelu",
        dropout=0.3,
        use_bias=False,
        gated=True,
    )
    assert again.drop.rate == 0.3
    assert again.activation.__name__ == "gelu"
