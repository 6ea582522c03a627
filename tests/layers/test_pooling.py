import numpy as np
import pytest
import tensorflow as tf

from tflm.layers.pooling import POOLINGS, AttentionPooling, FirstPooling, MaxPooling, MeanPooling

B, T, D = 3, 5, 4
MASK = np.arange(T) < np.array([5, 2, 1])[:, None]
by_name = pytest.mark.parametrize("name", POOLINGS)


def states(seed=0):
    return np.random.default_rng(seed).normal(size=(B, T, D)).astype("float32")


@pytest.fixture
def pooling(randomize):
    def build(name, **arguments):
        layer = POOLINGS[name](D, **arguments)
        layer.build((None, None, D))
        return randomize(layer)

    return build


@by_name
def test_padding_is_inert(pooling, name):
    layer, x = pooling(name), states()
    expected = np.asarray(layer(x, MASK))
    assert expected.shape == (B, D)
    noise = np.where(MASK[..., None], x, 100.0)
    np.testing.assert_allclose(layer(noise, MASK), expected, atol=1e-6)
    alone = layer(x[1:2, :2], MASK[1:2, :2])
    np.testing.assert_allclose(alone, expected[1:2], atol=1e-6)


def test_each_is_what_its_name_says():
    x = states()
    rows = [row[real] for row, real in zip(x, MASK, strict=True)]
    for layer, of in (
        (FirstPooling(D), lambda row: row[0]),
        (MeanPooling(D), lambda row: row.mean(axis=0)),
        (MaxPooling(D), lambda row: row.max(axis=0)),
    ):
        np.testing.assert_allclose(layer(x, MASK), [of(row) for row in rows], atol=1e-6)


def test_attention_weighs_tokens_as_in_the_paper(pooling):
    layer, x = pooling("attention"), states()
    w, b, v = (np.asarray(weight) for weight in layer.weights)
    for row, real, found in zip(x, MASK, layer(x, MASK), strict=True):
        scores = (np.tanh(row[real] @ w + b) @ v)[:, 0]
        weights = np.exp(scores) / np.exp(scores).sum()
        np.testing.assert_allclose(found, weights @ row[real], atol=1e-5)


@pytest.mark.parametrize("name", ["attention", "max", "mean"])
def test_a_text_without_a_token_is_zeros(pooling, name):
    layer, x = pooling(name), states()
    nothing = np.zeros((B, T), bool)
    with tf.GradientTape() as tape:
        hidden = tf.constant(x)
        tape.watch(hidden)
        found = layer(hidden, tf.constant(nothing))
    np.testing.assert_array_equal(found, np.zeros((B, D)))
    assert np.isfinite(tape.gradient(found, hidden)).all()


def test_a_mean_of_many_small_numbers_is_exact_in_half_precision():
    x = np.full((1, 3000, D), 0.01, "float32")
    found = MeanPooling(D, dtype="bfloat16")(tf.cast(x, "bfloat16"), np.ones((1, 3000), bool))
    assert found.dtype == "bfloat16"
    np.testing.assert_allclose(tf.cast(found, "float32"), 0.01, rtol=5e-3)


@by_name
def test_poolings_compute_in_the_policys_dtype(pooling, name):
    layer = pooling(name, dtype="mixed_bfloat16")
    assert layer(states(), MASK).dtype == "bfloat16"
    assert {str(weight.dtype) for weight in layer.weights} <= {"float32"}


@by_name
def test_poolings_survive_a_round_trip(assert_round_trip, name):
    assert assert_round_trip(POOLINGS[name], hidden_dim=6).hidden_dim == 6


def test_attention_has_no_more_weights_than_it_needs(pooling):
    assert sum(weight.shape.num_elements() for weight in pooling("attention").weights) == 4 * 6
    assert isinstance(pooling("attention"), AttentionPooling)
