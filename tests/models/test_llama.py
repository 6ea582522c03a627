import pytest

from tflm import models
from tflm.models.llama import Config

SIZES = {
    "vocab_size": 29,
    "hidden_dim": 12,
    "ffn_dim": 20,
    "num_heads": 6,
    "num_layers": 2,
    "max_length": 17,
}
CONTRACT = [
    {
        **SIZES,
        "num_kv_heads": 3,
        "head_dim": 4,
        "rotary_base": 500.0,
        "rotary_scaling": "llama3",
        "rotary_factor": 3.0,
        "rotary_low": 0.5,
        "rotary_high": 2.0,
        "rotary_original_length": 9,
        "window": 5,
        "window_from": 1,
        "query_key_norm": True,
        "query_key_value_bias": True,
        "dropout": 0.2,
        "attention_dropout": 0.15,
        "embedding_dropout": 0.25,
        "activation": "relu",
        "norm_epsilon": 1e-3,
        "tie_output": True,
    },
    SIZES,
    {**SIZES, "rotary_scaling": "linear", "num_kv_heads": 2},
]


@pytest.mark.parametrize(
    "preset, parameters",  # as the published checkpoints have them
    [
        ("llama2_7b", 6_738_415_616),
        ("llama2_13b", 13_015_864_320),
        ("llama2_70b", 68_976_648_192),
        ("llama3_8b", 8_030_261_248),
        ("llama3_70b", 70_553_706_496),
        ("llama3.2_1b", 1_235_814_400),
        ("mistral_7b", 7_241_732_096),
        ("qwen2_0.5b", 494_032_768),
        ("qwen3_0.6b", 596_049_920),
        ("smollm_135m", 134_515_008),
    ],
)
def test_presets_have_the_published_number_of_parameters(preset, parameters):
    assert models.num_parameters(f"llama/{preset}") == parameters


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"rotary_scaling": "yarn"}, "`rotary_scaling` must be one of .*'yarn'"),
        ({"rotary_scaling": "llama3"}, "`rotary_original_length` must be given"),
    ],
)
def test_what_is_not_computed_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Config(**fields)
