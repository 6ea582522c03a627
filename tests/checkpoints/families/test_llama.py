import pytest

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
