import numpy as np
import pytest

from tflm import models
from tflm.models.roberta import Config, Roberta

# The first differs from the default in every field.
CONTRACT = [
    {
        "vocab_size": 29,
        "hidden_dim": 12,
        "ffn_dim": 20,
        "num_heads": 3,
        "num_layers": 2,
        "max_length": 17,
        "num_segments": 4,
        "dropout": 0.2,
        "attention_dropout": 0.15,
        "activation": "tanh",
        "norm_epsilon": 1e-3,
        "pooler": True,
    },
    {"vocab_size": 29, "hidden_dim": 12, "ffn_dim": 20, "num_heads": 3, "num_layers": 1},
]


@pytest.mark.parametrize(
    "preset, published",
    [("base", 125e6), ("large", 355e6), ("xlm_base", 270e6), ("xlm_large", 550e6)],
)
def test_presets_have_the_published_number_of_parameters(preset, published):
    assert models.num_parameters(f"roberta/{preset}") == pytest.approx(published, rel=0.03)


def test_the_first_token_has_the_third_row_of_the_position_table():
    model = Roberta(Config(**CONTRACT[0]))
    model.build(None)
    ids = np.array([[4, 9, 2]], "int32")
    inputs = {"token_ids": ids, "padding_mask": ids > 0}
    expected = np.asarray(model(inputs))
    table = np.array(model.positions.embeddings)
    assert table.shape == (19, 12)
    table[[0, 1, 5, 6]] += 1.0
    model.positions.embeddings.assign(table)
    np.testing.assert_array_equal(model(inputs), expected)
    table[2, 0] += 1.0
    model.positions.embeddings.assign(table)
    assert np.abs(model(inputs) - expected).max() > 1e-4
