import keras
import numpy as np
import pytest

from tflm.training.label_losses import LabelCrossEntropy

B, L = 3, 4
Y = np.array([[1, 0, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1]], "float32")


def logits():
    return np.random.default_rng(1).normal(0, 3, (B, L)).astype("float32")


def by_hand(smoothing=0.0):
    p = 1 / (1 + np.exp(-logits().astype("float64")))
    target = Y * (1 - smoothing) + smoothing / 2
    return -(target * np.log(p) + (1 - target) * np.log(1 - p))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_each_label_is_a_binary_choice(smoothing):
    loss = LabelCrossEntropy(smoothing)
    np.testing.assert_allclose(loss.call(Y, logits()), by_hand(smoothing), rtol=1e-4)
    assert float(loss(Y, logits())) == pytest.approx(by_hand(smoothing).mean(), rel=1e-4)
    theirs = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=smoothing)
    assert float(loss(Y, logits())) == pytest.approx(float(theirs(Y, logits())), rel=1e-4)


def test_weights_are_of_texts_or_of_labels():
    loss, losses = LabelCrossEntropy(), by_hand()
    rows = np.array([1.0, 0.0, 3.0], "float32")
    expected = (losses * rows[:, None]).sum() / (L * rows.sum())
    assert float(loss(Y, logits(), rows)) == pytest.approx(expected, rel=1e-4)
    cells = np.random.default_rng(2).uniform(size=(B, L)).astype("float32")
    expected = (losses * cells).sum() / cells.sum()
    assert float(loss(Y, logits(), cells)) == pytest.approx(expected, rel=1e-4)
    assert float(loss(Y, logits(), np.zeros(B, "float32"))) == 0.0


def test_large_logits_overflow_nowhere():
    extreme = np.array([[500.0, -500.0, 500.0, -500.0]], "float32")
    losses = np.asarray(LabelCrossEntropy().call(Y[:1], extreme))
    np.testing.assert_allclose(losses, [[0, 0, 500, 500]], atol=1e-3)


def test_the_loss_survives_its_config():
    loss = LabelCrossEntropy(0.1, name="anything")
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert type(again) is LabelCrossEntropy
    assert again.get_config() == loss.get_config() == {"label_smoothing": 0.1, "name": "anything"}


def test_smoothing_outside_its_range_is_refused():
    with pytest.raises(ValueError, match=r"`label_smoothing` must be in \[0, 1\).*=1.0"):
        LabelCrossEntropy(1.0)
