import keras
import numpy as np
import pytest

from tflm import models
from tflm.models.bert import Bert, Config

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
        "pooler": False,
    },
    {"vocab_size": 29, "hidden_dim": 12, "ffn_dim": 20, "num_heads": 3, "num_layers": 1},
]
B, T, V = 3, 7, 29


def built(**fields):
    model = Bert(Config(**{**CONTRACT[1], **fields}))
    model.build(None)
    random = np.random.default_rng(5)
    for weight in model.weights:
        weight.assign(random.normal(0.05, 0.35, weight.shape))
    return model


def batch():
    random = np.random.default_rng(0)
    mask = np.arange(T) < np.array([7, 3, 5])[:, None]
    ids = np.where(mask, random.integers(4, V, (B, T)), 0).astype("int32")
    return {"token_ids": ids, "padding_mask": mask}


def hidden_of(model, **changes):
    return np.asarray(model({**batch(), **changes}))


@pytest.mark.parametrize(
    "preset, published",
    [  # Turc et al. 2019, table 1; Devlin et al. 2019, section 3
        ("tiny", 4.4e6),
        ("mini", 11.3e6),
        ("small", 29.1e6),
        ("medium", 41.7e6),
        ("base", 110e6),
        ("large", 340e6),
    ],
)
def test_presets_have_the_published_number_of_parameters(preset, published):
    assert models.num_parameters(f"bert/{preset}") == pytest.approx(published, rel=0.02)


def test_padding_is_inert():
    model, mask = built(), batch()["padding_mask"]
    expected = hidden_of(model)
    noise = np.where(mask, batch()["token_ids"], 11).astype("int32")
    np.testing.assert_allclose(hidden_of(model, token_ids=noise)[mask], expected[mask], atol=1e-5)
    longer = {
        "token_ids": np.pad(noise, ((0, 0), (0, 2)), constant_values=5),
        "padding_mask": np.pad(mask, ((0, 0), (0, 2))),
    }
    found = np.asarray(model(longer))[:, :T]
    np.testing.assert_allclose(found[mask], expected[mask], atol=1e-5)


def test_every_token_sees_those_before_and_after_it():
    model, ids = built(), batch()["token_ids"].copy()
    expected = hidden_of(model)
    for position in (0, 6):
        changed = ids.copy()
        changed[0, position] = 4 + (changed[0, position] + 1) % 20
        moved = np.abs(hidden_of(model, token_ids=changed) - expected).max(-1)
        assert moved[0].min() > 1e-4 and moved[1:].max() < 1e-6


def test_segments_are_0_by_default_and_change_the_vectors():
    model = built(num_segments=4)
    zeros = np.zeros((B, T), "int32")
    expected = hidden_of(model)
    np.testing.assert_array_equal(hidden_of(model, segment_ids=zeros), expected)
    assert np.abs(hidden_of(model, segment_ids=zeros + 3) - expected).max() > 1e-2


def test_without_segments_there_is_no_table_for_them():
    assert built(num_segments=0).segment_embedding is None
    assert hidden_of(built(num_segments=0)).shape == (B, T, 12)


def test_the_pooler_is_a_dense_layer_on_the_first_token():
    model = built()
    hidden = hidden_of(model)
    kernel, bias = (np.asarray(weight) for weight in model.pooler.weights)
    expected = np.tanh(hidden[:, 0] @ kernel + bias)
    np.testing.assert_allclose(model.pooled(hidden), expected, atol=1e-5)
    without = built(pooler=False)
    np.testing.assert_array_equal(without.pooled(hidden), hidden[:, 0])
    assert model.count_params() - without.count_params() == 12 * 12 + 12


def test_texts_that_are_too_long_are_refused():
    with pytest.raises(ValueError, match=r"at most `max_length` = 6 positions. .* shape \(3, 7\)"):
        hidden_of(built(max_length=6))


def test_dropout_is_on_in_training_alone():
    model = built(dropout=0.4, attention_dropout=0.3)
    np.testing.assert_array_equal(hidden_of(model), hidden_of(model))
    one, other = (np.asarray(model(batch(), training=True)) for _ in range(2))
    assert np.abs(one - other).max() > 1e-2
    assert {block.drop.rate for block in model.blocks} == {0.4}
    assert {block.attention.drop.rate for block in model.blocks} == {0.3}


def test_the_model_survives_a_keras_file(tmp_path):
    model = built(**CONTRACT[0])
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.config == model.config
    np.testing.assert_allclose(hidden_of(again), hidden_of(model), atol=1e-6)
