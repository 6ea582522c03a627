import numpy as np
import pytest
import tensorflow as tf

from tflm.export import attribution
from tflm.export.attribution import attributions

WEIGHTS = np.array([0.0, 1.0, -2.0, 4.0, 8.0], "float32")


def score(inputs, rows):
    """The sum of what visible tokens weigh, more in later rows; and a half for a feature."""
    seen = tf.cast(inputs["padding_mask"], tf.float32)  # (n, T)
    weights = tf.gather(WEIGHTS, inputs["token_ids"]) * seen
    total = tf.reduce_sum(weights, axis=1) * tf.cast(rows + 1, tf.float32)
    if "word_features" in inputs:
        total += 0.5 * tf.reduce_sum(tf.cast(inputs["word_features"], tf.float32), axis=[1, 2])
    return total


@pytest.mark.parametrize("at_once", [1 << 14, 1, 9])
def test_each_token_has_what_its_score_falls_by(monkeypatch, at_once):
    monkeypatch.setattr(attribution, "_TOKENS_AT_ONCE", at_once)
    inputs = {
        "token_ids": tf.constant([[1, 2, 3], [4, 4, 0]]),
        "padding_mask": tf.constant([[True] * 3, [True, True, False]]),
    }
    counted = tf.constant([[True, False, True], [False, True, False]])
    found = attributions(score, inputs, counted)
    assert found.numpy().tolist() == [[1.0, 0.0, 4.0], [0.0, 16.0, 0.0]]


def test_the_features_of_a_word_are_hidden_with_it():
    inputs = {
        "token_ids": tf.constant([[1, 2]]),
        "padding_mask": tf.constant([[True, True]]),
        "word_features": tf.constant([[[True, False], [True, True]]]),
    }
    found = attributions(score, inputs, tf.constant([[True, True]]))
    assert found.numpy().tolist() == [[1.5, -1.0]]


def test_a_text_without_tokens_has_none():
    inputs = {"token_ids": tf.zeros([1, 2], tf.int32), "padding_mask": tf.zeros([1, 2], tf.bool)}
    found = attributions(score, inputs, inputs["padding_mask"])
    assert found.numpy().tolist() == [[0.0, 0.0]]
