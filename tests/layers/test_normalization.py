import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tflm.layers.normalization import LayerNormalization, RMSNormalization

B, T, D = 2, 3, 10


def numpy_norm(x, scale, offset, epsilon=1e-6):
    """Ba et al. 2016, equation 4, in float64."""
    x = np.asarray(x, "float64")
    mean = x.mean(-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + epsilon) * scale + offset


@pytest.fixture
def layer(randomize):
    layer = LayerNormalization(D)
    layer.build(None)
    return randomize(layer)


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(1.5, 2.0, (B, T, D)).astype("float32")


def weights_of(layer):
    return [ops.convert_to_numpy(weight).astype("float64") for weight in layer.weights]


def test_it_normalises_along_the_width(layer, x):
    np.testing.assert_allclose(layer(x), numpy_norm(x, *weights_of(layer)), atol=1e-5)


def test_a_fresh_one_gives_zero_mean_and_unit_variance(x):
    y = ops.convert_to_numpy(LayerNormalization(D)(x))
    np.testing.assert_allclose(y.mean(-1), 0.0, atol=1e-6)
    np.testing.assert_allclose(y.std(-1), 1.0, atol=1e-4)


def test_epsilon_is_added_to_the_variance(x):
    y = LayerNormalization(D, epsilon=5.0)(x)
    np.testing.assert_allclose(y, numpy_norm(x, 1.0, 0.0, epsilon=5.0), atol=1e-5)


def test_a_constant_row_becomes_the_offset(layer):
    y = layer(np.full((B, T, D), 7.0, "float32"))
    offset = weights_of(layer)[1]
    np.testing.assert_allclose(y, np.broadcast_to(offset, (B, T, D)), atol=1e-5)


def test_the_gradient_is_that_of_the_plain_formula(layer, x):
    direction = tf.constant(np.random.default_rng(1).normal(size=x.shape), tf.float32)
    x = tf.constant(x)
    scale, offset = layer.scale.value, layer.offset.value
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([x, scale, offset])
        ours = tf.reduce_sum(layer(x) * direction)
        mean, variance = tf.nn.moments(x, axes=[-1], keepdims=True)
        plain = (x - mean) / tf.sqrt(variance + layer.epsilon) * scale + offset
        theirs = tf.reduce_sum(plain * direction)
    found = tape.gradient(ours, [x, scale, offset])
    expected = tape.gradient(theirs, [x, scale, offset])
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_the_gradient_is_the_slope_of_the_output(layer, x):
    random = np.random.default_rng(2)
    weight, direction = random.normal(size=(2, *x.shape))
    variable = tf.Variable(x)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(variable) * tf.constant(weight, tf.float32))
    gradient = ops.convert_to_numpy(tape.gradient(loss, variable))
    step = 1e-5
    up, down = (
        (numpy_norm(x + sign * step * direction, *weights_of(layer)) * weight).sum()
        for sign in (1, -1)
    )
    np.testing.assert_allclose((gradient * direction).sum(), (up - down) / (2 * step), rtol=1e-4)


def test_statistics_are_float32_under_mixed_precision(assert_mixed, x):
    layer = LayerNormalization(D, dtype="mixed_bfloat16")
    # A spread that is small beside the mean: statistics in bfloat16 would be off by far.
    x = ops.cast(100.0 + 3.0 * x, "bfloat16")
    y = layer(x)
    assert y.dtype == "bfloat16"
    assert_mixed(layer)
    expected = numpy_norm(ops.convert_to_numpy(ops.cast(x, "float32")), 1.0, 0.0)
    np.testing.assert_allclose(ops.convert_to_numpy(ops.cast(y, "float32")), expected, atol=0.01)


def test_gradients_pass_through_mixed_precision(x):
    layer = LayerNormalization(D, dtype="mixed_bfloat16")
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(tf.cast(layer(x), tf.float32) ** 3)
    for gradient in tape.gradient(loss, [x, *layer.trainable_variables]):
        assert gradient.dtype == tf.float32
        assert np.isfinite(gradient).all() and np.any(gradient)


@pytest.mark.parametrize("cls", [LayerNormalization, RMSNormalization])
def test_weights_stay_in_float32_and_unrounded(cls, x):
    layer = cls(D, dtype="bfloat16")
    y = layer(x)
    layer.scale.assign(np.full(D, 1.0 + 2.0**-12))  # bfloat16 has 8 bits of it
    assert layer.scale.dtype == "float32"
    assert y.dtype == "bfloat16"
    assert float(layer.scale[0]) == 1.0 + 2.0**-12


def test_the_root_mean_square_becomes_the_scale(randomize, x):
    layer = RMSNormalization(D, epsilon=0.5)
    layer.build(None)
    (scale,) = weights_of(randomize(layer))
    expected = x / np.sqrt((x.astype("float64") ** 2).mean(-1, keepdims=True) + 0.5) * scale
    np.testing.assert_allclose(layer(x), expected, atol=1e-5)
    heads = x[:, :, None]  # any number of dimensions
    np.testing.assert_allclose(layer(heads), expected[:, :, None], atol=1e-5)


@pytest.mark.parametrize("cls", [LayerNormalization, RMSNormalization])
def test_it_survives_a_round_trip(cls, assert_round_trip):
    assert_round_trip(cls, dim=6, epsilon=1e-3)
