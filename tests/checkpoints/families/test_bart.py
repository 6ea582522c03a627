import numpy as np
import pytest

from tflm import checkpoints
from tflm.checkpoints.families import bart
from tflm.models.bart import Bart, Config

SIZES = {
    "vocabulary_size": 41,
    "num_layers": 2,
    "num_heads": 3,
    "hidden_dim": 12,
    "intermediate_dim": 20,
    "max_sequence_length": 13,
}


@pytest.fixture(scope="module")
def backbone():
    import keras_hub

    backbone = keras_hub.models.BartBackbone(**SIZES)
    random = np.random.default_rng(2)
    for weight in backbone.weights:
        weight.assign(random.normal(0.1, 0.4, weight.shape))
    return backbone


def batch():
    random = np.random.default_rng(4)
    return {
        "encoder_token_ids": random.integers(4, 41, (3, 9), "int32"),
        "encoder_padding_mask": np.arange(9) < np.array([9, 4, 6])[:, None],
        "decoder_token_ids": random.integers(4, 41, (3, 7), "int32"),
        "decoder_padding_mask": np.arange(7) < np.array([3, 7, 5])[:, None],
    }


def test_the_defaults_of_transformers_are_bart_large():
    assert bart.config_from_huggingface({}, ()) == Bart.PRESETS["large"]


def test_a_config_goes_out_and_comes_in():
    config = Config(43, 12, 22, 4, 2, 3, 27, 0.2, 0.15, 0.05, "silu", True)
    written = bart.config_to_huggingface(config)
    assert bart.config_from_huggingface(written, {"final_logits_bias"}) == config


@pytest.mark.parametrize(
    "option, value",
    [
        ("decoder_ffn_dim", 4095),
        ("decoder_attention_heads", 8),
        ("scale_embedding", True),
        ("tie_word_embeddings", False),
        ("normalize_before", True),
    ],
)
def test_what_would_be_computed_otherwise_is_refused(option, value):
    with pytest.raises(ValueError, match=f"would be wrong. Received: {option}={value!r}"):
        bart.config_from_huggingface({option: value}, ())


def test_a_checkpoint_without_a_bias_of_the_logits_gives_a_model_without_one(copy_of):
    directory = copy_of("bart", without=["final_logits_bias"])
    model = checkpoints.load_model(directory)
    assert model.output_bias is None and not model.config.output_bias


def test_a_keras_hub_backbone_becomes_a_model_that_computes_the_same(backbone):
    model = checkpoints.load_model(backbone)
    expected = backbone(batch())["decoder_sequence_output"]
    expected = np.asarray(expected) @ np.asarray(model.embedding.embeddings).T
    real = batch()["decoder_padding_mask"]
    np.testing.assert_allclose(np.asarray(model(batch()))[real], expected[real], atol=1e-4)
    memory = model.encode(batch()["encoder_token_ids"], batch()["encoder_padding_mask"])
    expected = np.asarray(backbone(batch())["encoder_sequence_output"])
    real = batch()["encoder_padding_mask"]
    np.testing.assert_allclose(np.asarray(memory)[real], expected[real], atol=1e-4)


def test_keras_hub_has_no_rows_before_the_first_position():
    config = bart.config_from_keras_hub({**SIZES, "dropout": 0.2})
    assert (config.max_length, config.attention_dropout, config.output_bias) == (13, 0.2, False)
    rules = {rule.ours: rule for rule in bart.keras_hub_weights(config)}
    rule = rules["decoder_positions/embeddings"]
    found = rule.to_ours(np.ones((13, 12), "float32"))
    assert found.shape == (15, 12) and not found[:2].any() and found[2:].all()
    assert rule.shapes((15, 12)) == [(13, 12)]
