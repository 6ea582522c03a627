import numpy as np
import pytest

from tflm.layers.classification_head import ClassificationHead
from tflm.layers.pooling import POOLINGS

B, T, D, L = 3, 5, 4, 6
MASK = np.arange(T) < np.array([5, 2, 1])[:, None]


def states():
    return np.random.default_rng(0).normal(size=(B, T, D)).astype("float32")


@pytest.fixture
def head(randomize):
    def build(**arguments):
        layer = ClassificationHead(D, L, **arguments)
        layer.build((None, None, D))
        return randomize(layer)

    return build


@pytest.mark.parametrize("pooling", POOLINGS)
def test_logits_are_a_dense_layer_on_the_pooled_vector(head, pooling):
    layer, x = head(pooling=pooling), states()
    kernel, bias = (np.asarray(weight) for weight in layer.dense.weights)
    expected = np.asarray(layer.pooling(x, MASK)) @ kernel + bias
    np.testing.assert_allclose(layer(x, MASK), expected, atol=1e-5)


def test_a_vector_that_the_encoder_has_made_is_taken_as_it_is(head):
    layer, x = head(), states()
    vector = x.mean(axis=1)
    kernel, bias = (np.asarray(weight) for weight in layer.dense.weights)
    np.testing.assert_allclose(layer(x, MASK, pooled=vector), vector @ kernel + bias, atol=1e-5)


def test_dropout_is_on_in_training_alone(head):
    layer, x = head(dropout=0.5), states()
    np.testing.assert_array_equal(layer(x, MASK), layer(x, MASK, training=False))
    trained = [np.asarray(layer(x, MASK, training=True)) for _ in range(2)]
    assert np.abs(trained[0] - trained[1]).max() > 1e-2


def test_counts_are_added_except_in_training(head):
    layer, x = head(naive_bayes=2.5, vocab_size=9, dropout=0.0), states()
    ids = np.random.default_rng(1).integers(0, 9, (B, T)).astype("int32")
    plain = layer(x, MASK, token_ids=ids, training=True)
    counted = np.asarray(layer(x, MASK, token_ids=ids)) - plain
    assert np.abs(counted).max() > 0.1
    np.testing.assert_allclose(counted, 2.5 * np.asarray(layer.counts(ids, MASK)), atol=1e-5)


def test_an_unknown_pooling_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"one of \['attention', 'first', 'max', 'mean'\].*'sum'"):
        ClassificationHead(D, L, pooling="sum")


def test_heads_compute_in_the_policys_dtype(head, assert_mixed):
    layer = head(pooling="attention", dtype="mixed_bfloat16")
    assert layer(states(), MASK).dtype == "bfloat16"
    assert_mixed(layer)


def test_a_head_survives_a_round_trip(assert_round_trip):
    again = assert_round_trip(
        ClassificationHead,
        hidden_dim=6,
        num_labels=3,
        pooling="max",
        dropout=0.3,
        naive_bayes=1.5,
        vocab_size=7,
    )
    assert (type(again.pooling), again.drop.rate) == (POOLINGS["max"], 0.3)
    assert (again.naive_bayes, again.counts.vocab_size) == (1.5, 7)
