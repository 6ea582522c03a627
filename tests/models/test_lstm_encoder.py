import numpy as np
import pytest

from tflm import models
from tflm.models.lstm_encoder import Config, LSTMEncoder

# The first differs from the default in every field.
CONTRACT = [
    {"vocab_size": 29, "embedding_dim": 10, "hidden_dim": 12, "num_layers": 2, "dropout": 0.2},
    {"vocab_size": 29, "embedding_dim": 10, "hidden_dim": 12},
]


def test_presets_have_the_published_dimensions():
    assert models.find("lstm_encoder/base")[1].hidden_dim == 4096
    one_direction = models.num_parameters("lstm_encoder/small") - 50000 * 300
    # Tai et al. 2015, table 1: 315,840 with two biases where there is one here.
    assert one_direction == 2 * (315_840 - 4 * 168)


def test_each_half_has_read_the_text_from_its_side():
    model = LSTMEncoder(Config(**CONTRACT[1]))
    model.build(None)
    ids = np.array([[4, 9, 2, 7, 5]], "int32")

    def hidden(ids):
        return np.asarray(model({"token_ids": ids, "padding_mask": ids > 0}))[0]

    whole = hidden(ids)
    np.testing.assert_allclose(hidden(ids[:, :3])[:, :6], whole[:3, :6], atol=1e-6)
    np.testing.assert_allclose(hidden(ids[:, 2:])[:, 6:], whole[2:, 6:], atol=1e-6)
    assert np.abs(hidden(ids[:, :3])[:, 6:] - whole[:3, 6:]).max() > 1e-4


def test_an_odd_width_is_refused():
    with pytest.raises(ValueError, match="`hidden_dim` must be even.* hidden_dim=7"):
        Config(hidden_dim=7)
