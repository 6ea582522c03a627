import numpy as np
import pytest
from keras import ops

from tflm import models
from tflm.models.t5 import T5, Config

SIZES = {
    "vocab_size": 29,
    "hidden_dim": 12,
    "ffn_dim": 20,
    "num_heads": 3,
    "head_dim": 7,
    "num_encoder_layers": 2,
    "num_decoder_layers": 1,
    "num_buckets": 10,
    "max_distance": 6,
}
CONTRACT = [
    {
        **SIZES,
        "dropout": 0.2,
        "activation": "gelu_tanh",
        "gated": True,
        "tie_output": False,
        "scale_output": False,
        "norm_epsilon": 1e-3,
    },
    SIZES,
]


def batch(length=11):
    random = np.random.default_rng(1)
    return {
        "encoder_token_ids": random.integers(2, 29, (2, length), "int32"),
        "encoder_padding_mask": np.ones((2, length), bool),
        "decoder_token_ids": random.integers(2, 29, (2, length), "int32"),
    }


def fresh(**fields):
    model = T5(Config(**{**SIZES, **fields}))
    model.build(None)
    return model


@pytest.mark.parametrize(
    "preset, parameters",
    [  # what the transformers library counts in the published models
        ("small", 60_506_624),
        ("base", 222_903_552),
        ("large", 737_668_096),
        ("3b", 2_851_598_336),
        ("11b", 11_307_321_344),
        ("v1_1_small", 76_961_152),
        ("v1_1_base", 247_577_856),
        ("v1_1_large", 783_150_080),
        ("v1_1_xl", 2_849_757_184),
        ("v1_1_xxl", 11_135_332_352),
        ("mt5_small", 300_176_768),
    ],
)
def test_presets_have_the_published_number_of_parameters(preset, parameters):
    assert models.num_parameters(f"t5/{preset}") == parameters


def test_flan_has_the_sizes_of_1_1():
    for size in ("small", "base", "large", "xl", "xxl"):
        assert T5.PRESETS[f"flan_{size}"] == T5.PRESETS[f"v1_1_{size}"]


def test_positions_are_relative():
    """Without position vectors only distances count: in front of a text, hidden, nothing changes.

    The distances of a decoder's tokens stay too, so its whole row may begin later.
    """
    model, inputs = fresh(), batch()
    expected = ops.convert_to_numpy(model(inputs))
    shifted = {
        **inputs,
        "encoder_token_ids": np.pad(inputs["encoder_token_ids"], ((0, 0), (4, 0))),
        "encoder_padding_mask": np.pad(inputs["encoder_padding_mask"], ((0, 0), (4, 0))),
    }
    np.testing.assert_allclose(model(shifted), expected, atol=1e-5)


def test_all_blocks_share_the_bias_of_their_side():
    model = fresh(num_encoder_layers=3, num_decoder_layers=2)
    tables = [weight.path for weight in model.weights if "bias" in weight.path]
    assert [path.split("/", 1)[1] for path in tables] == [
        "encoder_bias/embeddings",
        "decoder_bias/embeddings",
    ]


def test_logits_are_scaled_by_the_root_of_the_width_where_the_config_says_so():
    model = fresh()
    memory = ops.ones((1, 3, 12))
    laid_out = model.start(memory, np.ones((1, 3), bool))["weights"]["output"]
    table = ops.convert_to_numpy(model.embedding.embeddings)
    np.testing.assert_allclose(laid_out, table.T / np.sqrt(12), rtol=1e-6)
    untied = fresh(tie_output=False, scale_output=False)
    laid_out = untied.start(memory, np.ones((1, 3), bool))["weights"]["output"]
    table = ops.convert_to_numpy(untied.output_embedding.embeddings)
    np.testing.assert_array_equal(laid_out, table.T)


@pytest.mark.parametrize("is_first", [True, False])
def test_first_values_give_scores_and_logits_of_unit_scale(is_first):
    output = {"tie_output": is_first, "scale_output": is_first}
    sizes = {"vocab_size": 300, "hidden_dim": 96, "head_dim": 32, **output}
    model = fresh(**sizes)
    attention = model.encoder_blocks[0].attention
    x = np.random.default_rng(0).normal(size=(400, 96)).astype("float32")
    query, key, _ = np.split(ops.convert_to_numpy(attention.query_key_value(x)), 3, axis=-1)
    assert (query[:, :32] @ key[:, :32].T).std() == pytest.approx(1.0, abs=0.2)
    query = ops.convert_to_numpy(model.decoder_blocks[0].cross_attention.query(x))
    assert query.std() == pytest.approx(32**-0.5, abs=0.02)
    vectors = ops.convert_to_numpy(model.embedding(np.arange(300)[None]))
    assert vectors.std() == pytest.approx(1.0, abs=0.05)
    logits = ops.convert_to_numpy(model(batch()))
    assert logits.std() == pytest.approx(1.0, abs=0.3)


def test_the_decoder_starts_with_padding():
    assert T5.TARGET_START == ("pad",) and T5.SOURCE_START == ()
