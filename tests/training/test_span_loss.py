import keras
import numpy as np
import pytest

from tflm.training.span_loss import SpanCrossEntropy

B, T = 3, 5
LOGITS = np.random.default_rng(0).normal(size=(B, T, 2)).astype("float32")
PLACES = np.array([[1, 3], [0, 0], [4, 4]])


def expected():
    odds = np.exp(LOGITS)
    probabilities = odds / odds.sum(axis=1, keepdims=True)
    return [
        -sum(np.log(probabilities[row, place, end]) for end, place in enumerate(places)) / 2
        for row, places in enumerate(PLACES)
    ]


def test_the_loss_is_the_mean_of_both_ends_cross_entropies():
    np.testing.assert_allclose(SpanCrossEntropy().call(PLACES, LOGITS), expected(), rtol=1e-5)
    found = float(SpanCrossEntropy()(PLACES, LOGITS))
    assert found == pytest.approx(np.mean(expected()), rel=1e-5)


@pytest.mark.parametrize("shape", [(B,), (B, 1)])
def test_windows_of_no_weight_do_not_count(shape):
    weight = np.array([1.0, 0.0, 1.0], "float32").reshape(shape)
    found = float(SpanCrossEntropy()(PLACES, LOGITS, weight))
    assert found == pytest.approx((expected()[0] + expected()[2]) / 2, rel=1e-5)


def test_hidden_places_take_no_part():
    hidden = LOGITS.copy()
    hidden[:, 2] = -1e9
    again = np.delete(LOGITS, 2, axis=1)
    places = PLACES - (PLACES > 2)
    np.testing.assert_allclose(
        SpanCrossEntropy().call(PLACES, hidden), SpanCrossEntropy().call(places, again), rtol=1e-5
    )


def test_the_loss_survives_a_round_trip():
    config = keras.saving.serialize_keras_object(SpanCrossEntropy(name="anything"))
    assert keras.saving.deserialize_keras_object(config).name == "anything"
