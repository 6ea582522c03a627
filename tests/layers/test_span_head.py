import numpy as np
import pytest

from tflm.layers.span_head import SpanHead

B, T, D = 3, 7, 4
MASK = np.arange(T) < np.array([7, 1, 5])[:, None]


def states():
    return np.random.default_rng(0).normal(size=(B, T, D)).astype("float32")


@pytest.fixture
def head(randomize):
    def build(**arguments):
        layer = SpanHead(D, **arguments)
        layer.build(None)
        return randomize(layer)

    return build


def test_logits_are_products_with_a_start_and_an_end_vector(head):
    layer, x = head(), states()
    kernel, bias = (np.asarray(weight) for weight in layer.dense.weights)
    found = np.asarray(layer(x, MASK))
    assert found.shape == (B, T, 2)
    np.testing.assert_allclose(found[MASK], (x @ kernel + bias)[MASK], atol=1e-5)


def test_places_that_cannot_be_an_answer_get_no_probability(head):
    logits = np.asarray(head()(states(), MASK))
    assert logits[~MASK].max() < -1e8
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    assert (odds[~MASK] == 0).all() and (odds[MASK] > 0).all()


def test_dropout_is_on_in_training_alone(head):
    layer, x = head(dropout=0.5), states()
    np.testing.assert_array_equal(layer(x, MASK), layer(x, MASK, training=False))
    trained = [np.asarray(layer(x, MASK, training=True)) for _ in range(2)]
    assert np.abs(trained[0] - trained[1]).max() > 1e-2


def test_logits_are_float32_in_mixed_precision(head, assert_mixed):
    layer = head(dtype="mixed_bfloat16")
    assert layer(states(), MASK).dtype == "float32"
    assert_mixed(layer)


def test_a_head_survives_a_round_trip(assert_round_trip):
    assert assert_round_trip(SpanHead, hidden_dim=6, dropout=0.3).dropout == 0.3
