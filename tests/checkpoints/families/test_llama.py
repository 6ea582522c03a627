import numpy as np
import pytest

from tflm import checkpoints
from tflm.checkpoints.families import llama
from tflm.models.llama import Config, Llama

SIZES = {"vocab_size": 53, "hidden_dim": 16, "ffn_dim": 23, "num_heads": 4, "num_layers": 3}
PUBLISHED = {  # what the published configurations say beside their type's defaults
    "llama3.2_1b": {
        "model_type": "llama",
        "vocab_size": 128256,
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_key_value_heads": 8,
        "head_dim": 64,
        "max_position_embeddings": 131072,
        "rms_norm_eps": 1e-5,
        "rope_theta": 500000.0,
        "rope_scaling": {
            "rope_type": "llama3",
            "factor": 32.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        },
        "tie_word_embeddings": True,
    },
}


@pytest.mark.parametrize("preset", PUBLISHED)
def test_a_published_configuration_has_the_presets_sizes(preset):
    found = llama.config_from_huggingface(PUBLISHED[preset], ())
    wanted = Llama.PRESETS[preset]
    for name in ("vocab_size", "hidden_dim", "ffn_dim", "num_heads", "num_kv_heads", "num_layers"):
        assert getattr(found, name) == getattr(wanted, name), name
    assert (found.rotary_scaling, found.rotary_factor) == ("llama3", 32.0)
    assert found.rotary_original_length == 8192 and found.tie_output


@pytest.mark.parametrize(
    "model_type, fields",
    [
        ("llama", {"num_kv_heads": 2, "norm_epsilon": 2e-3, "tie_output": True}),
        ("mistral", {"num_kv_heads": 2, "window": 5}),
        ("qwen2", {"num_kv_heads": 2, "query_key_value_bias": True}),
        ("qwen3", {"num_kv_heads": 2, "head_dim": 6, "query_key_norm": True}),
    ],
)
def test_a_config_goes_out_as_the_plainest_type_that_has_it(model_type, fields):
    config = Config(**SIZES, **fields)
    written = llama.config_to_huggingface(config)
    assert written["model_type"] == model_type
    found = llama.config_from_huggingface(written, ())
    for name, value in {**SIZES, **fields}.items():
        assert getattr(found, name) == value, name


def test_biases_that_we_do_not_have_are_refused():
    with pytest.raises(ValueError, match="attention_bias=True"):
        llama.config_from_huggingface({"model_type": "llama", "attention_bias": True}, ())


@pytest.mark.parametrize(
    "name, options, fields",
    [
        ("LlamaBackbone", {}, {"rotary_scaling": "none", "tie_output": False}),
        ("LlamaBackbone", {"tie_word_embeddings": True}, {"tie_output": True}),
        (
            "Llama3Backbone",
            {
                "rope_frequency_adjustment_factor": 6.0,
                "rope_low_freq_factor": 1.5,
                "rope_high_freq_factor": 5.0,
                "rope_pretraining_sequence_length": 31,
            },
            {"rotary_scaling": "llama3", "rotary_original_length": 31},
        ),
    ],
)
def test_a_keras_hub_backbone_becomes_a_model_that_computes_the_same(name, options, fields):
    import keras_hub

    backbone = getattr(keras_hub.models, name)(
        vocabulary_size=53,
        num_layers=2,
        num_query_heads=6,
        num_key_value_heads=3,
        hidden_dim=24,
        intermediate_dim=29,
        rope_max_wavelength=700,
        layer_norm_epsilon=2e-3,
        **options,
    )
    random = np.random.default_rng(2)
    for weight in backbone.weights:
        weight.assign(random.normal(0.1, 0.4, weight.shape))
    real = np.arange(7) < np.array([7, 3, 5])[:, None]
    batch = {"token_ids": random.integers(4, 53, (3, 7), "int32"), "padding_mask": real}
    model = checkpoints.load_model(backbone)
    expected = backbone.token_embedding(backbone(batch), reverse=True)
    found = np.asarray(model(batch))
    np.testing.assert_allclose(found[real], np.asarray(expected)[real], atol=1e-4, rtol=1e-5)
    for field, value in {"num_kv_heads": 3, "rotary_base": 700.0, **fields}.items():
        assert getattr(model.config, field) == value, field


def test_a_factor_that_keras_hub_does_not_compute_with_is_refused():
    config = {
        "num_query_heads": 4,
        "num_key_value_heads": 2,
        "rope_frequency_adjustment_factor": None,
        "rope_position_scaling_factor": 2.0,
    }
    with pytest.raises(ValueError, match="Received: rope_position_scaling_factor=2.0"):
        llama.config_from_keras_hub(config)
