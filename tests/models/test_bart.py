import numpy as np
import pytest
from keras import ops

from tflm import models
from tflm.models.bart import FIRST_POSITION, Bart, Config

SIZES = {
    "vocab_size": 29,
    "hidden_dim": 12,
    "ffn_dim": 20,
    "num_heads": 3,
    "num_encoder_layers": 2,
    "num_decoder_layers": 1,
}
CONTRACT = [
    {
        **SIZES,
        "max_length": 17,
        "dropout": 0.2,
        "attention_dropout": 0.15,
        "ffn_dropout": 0.05,
        "activation": "tanh",
        "output_bias": True,
    },
    SIZES,
]


def fresh(**fields):
    model = Bart(Config(**{**SIZES, **fields}))
    model.build(None)
    return model


@pytest.mark.parametrize("preset, parameters", [("base", 139_420_416), ("large", 406_291_456)])
def test_presets_have_the_published_number_of_parameters(preset, parameters):
    assert models.num_parameters(f"bart/{preset}") == parameters


def test_vectors_are_normalised_before_the_first_block():
    model = fresh(dropout=0.0)
    ids = np.array([[4, 5, 6, 7]], "int32")
    tables = {"encoder": model.encoder_positions, "decoder": model.decoder_positions}
    for side, table in tables.items():
        embed = model.embed_source if side == "encoder" else model.embed_target
        found = embed(ids, None) if side == "encoder" else embed(ids, 3, None)
        first = FIRST_POSITION + (0 if side == "encoder" else 3)
        x = ops.convert_to_numpy(model.embedding.embeddings)[ids[0]]
        x = x + ops.convert_to_numpy(table.embeddings)[first : first + 4]
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        np.testing.assert_allclose(found[0], x, atol=1e-4)


def test_a_bias_of_the_logits_is_added_where_there_is_one():
    plain, biased = fresh(), fresh(output_bias=True)
    values = np.random.default_rng(0).normal(size=29).astype("float32")
    for weight in plain.weights:
        path = weight.path.split("/", 1)[1]
        next(w for w in biased.weights if w.path.split("/", 1)[1] == path).assign(weight)
    biased.output_bias.assign(values)
    inputs = {
        "encoder_token_ids": np.array([[4, 5, 6]], "int32"),
        "encoder_padding_mask": np.ones((1, 3), bool),
        "decoder_token_ids": np.array([[2, 7]], "int32"),
    }
    np.testing.assert_allclose(biased(inputs), plain(inputs) + values, atol=1e-5)


def test_more_than_there_are_positions_for_is_refused():
    model = fresh(max_length=17)
    memory, mask = ops.ones((1, 3, 12)), np.ones((1, 3), bool)
    assert model.start(memory, mask, 17)
    with pytest.raises(ValueError, match="`max_length` must be at most .* 17. Received: .*=18"):
        model.start(memory, mask, 18)


def test_texts_are_framed_as_in_pretraining():
    assert Bart.SOURCE_START == ("bos",) and Bart.TARGET_START == ("eos", "bos")
