import numpy as np
import pytest

from tflm import models
from tflm.models.transformer_encoder import Config, TransformerEncoder

# The first differs from the default in every field.
CONTRACT = [
    {
        "vocab_size": 29,
        "hidden_dim": 12,
        "ffn_dim": 20,
        "num_heads": 3,
        "num_layers": 2,
        "dropout": 0.2,
        "attention_dropout": 0.15,
        "activation": "tanh",
        "positions": "rotary",
    },
    {"vocab_size": 29, "hidden_dim": 12, "ffn_dim": 20, "num_heads": 3, "num_layers": 1},
]


def test_presets_are_small():
    assert 1.4e6 < models.num_parameters("transformer_encoder/tiny") < 1.5e6
    assert 5e6 < models.num_parameters("transformer_encoder/mini") < 5.5e6


@pytest.mark.parametrize("positions", ["sinusoidal", "rotary"])
def test_the_order_of_words_counts_and_no_length_is_too_long(positions):
    model = TransformerEncoder(Config(**CONTRACT[1], positions=positions))
    model.build(None)
    ids = np.random.default_rng(0).integers(4, 29, (1, 700)).astype("int32")
    mask = np.ones_like(ids, bool)
    there = np.asarray(model({"token_ids": ids, "padding_mask": mask}))
    back = np.asarray(model({"token_ids": ids[:, ::-1], "padding_mask": mask}))
    assert there.shape == (1, 700, 12)
    assert np.abs(there.mean(axis=1) - back.mean(axis=1)).max() > 1e-4


def test_rotary_positions_know_the_distance_alone():
    """A text moved along by padding in front of it is the same text."""
    model = TransformerEncoder(Config(**CONTRACT[1], positions="rotary"))
    model.build(None)
    ids = np.array([[0, 0, 0, 4, 9, 2, 7]], "int32")
    moved = np.asarray(model({"token_ids": ids, "padding_mask": ids > 0}))[:, 3:]
    there = np.asarray(model({"token_ids": ids[:, 3:], "padding_mask": ids[:, 3:] > 0}))
    np.testing.assert_allclose(moved, there, atol=1e-5)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"positions": "learned"}, "`positions` must be one of .*: positions='learned'"),
        (
            {"positions": "rotary", "hidden_dim": 15, "num_heads": 3},
            "`hidden_dim` must be a multiple of twice .*: hidden_dim=15, num_heads=3",
        ),
    ],
)
def test_positions_that_cannot_be_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Config(**fields)


def test_the_last_states_are_normalised():
    model = TransformerEncoder(Config(**CONTRACT[1]))
    model.build(None)
    ids = np.array([[4, 9, 2]], "int32")
    hidden = np.asarray(model({"token_ids": ids, "padding_mask": ids > 0}))
    np.testing.assert_allclose(hidden.mean(-1), 0.0, atol=1e-5)
    np.testing.assert_allclose(hidden.std(-1), 1.0, atol=1e-2)
