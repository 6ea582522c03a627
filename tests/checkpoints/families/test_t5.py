import dataclasses

import numpy as np
import pytest

from tflm import checkpoints
from tflm.checkpoints.families import t5
from tflm.models.t5 import T5, Config

V1_1 = {  # of google/t5-v1_1-small's config.json
    "model_type": "t5",
    "d_ff": 1024,
    "num_heads": 6,
    "num_layers": 8,
    "num_decoder_layers": 8,
    "feed_forward_proj": "gated-gelu",
    "tie_word_embeddings": False,
}
OUTPUT = {"lm_head.weight"}


def test_the_defaults_of_transformers_are_t5_small():
    assert t5.config_from_huggingface({}, ()) == Config()


def test_the_published_configurations_are_presets():
    mt5 = t5.config_from_huggingface({"model_type": "mt5"}, OUTPUT)
    assert t5.config_from_huggingface(V1_1, OUTPUT) == T5.PRESETS["v1_1_small"]
    assert mt5 == T5.PRESETS["mt5_small"]


@pytest.mark.parametrize(
    "options, tied",
    [
        ({}, True),
        ({"tie_word_embeddings": True}, True),
        ({"tie_word_embeddings": False}, False),
        ({"tie_word_embeddings": True, "scale_decoder_outputs": False}, False),
        ({"tie_word_embeddings": True, "model_type": "mt5"}, False),
    ],
)
def test_old_and_new_files_say_which_version_it_is(options, tied):
    found = t5.config_from_huggingface(options, OUTPUT)
    assert (found.tie_output, found.scale_output) == (tied, tied)


@pytest.mark.parametrize(
    "activation, gated, named",
    [
        ("relu", False, "relu"),
        ("gelu_tanh", True, "gated-gelu"),
        ("silu", True, "gated-silu"),
        ("gelu", False, "gelu"),
        ("gelu_tanh", False, "gelu_new"),
    ],
)
def test_a_config_goes_out_and_comes_in(activation, gated, named):
    config = Config(43, 12, 22, 3, 10, 4, 2, 8, 6, 0.2, activation, gated, False, False, 1e-3)
    written = t5.config_to_huggingface(config)
    assert written["feed_forward_proj"] == named
    assert t5.config_from_huggingface(written, OUTPUT) == config
    tied = dataclasses.replace(config, tie_output=True)
    assert t5.config_from_huggingface(t5.config_to_huggingface(tied), ()) == tied
    first = dataclasses.replace(tied, scale_output=True)
    assert t5.config_from_huggingface(t5.config_to_huggingface(first), ()) == first
    with pytest.raises(ValueError, match="`scale_output` must be false where `tie_output` is"):
        t5.config_to_huggingface(dataclasses.replace(config, scale_output=True))


@pytest.mark.parametrize(
    "option, value, received",
    [
        ("is_decoder", True, "is_decoder=True"),
        ("feed_forward_proj", "double-gelu", "feed_forward_proj='double'"),
    ],
)
def test_what_would_be_computed_otherwise_is_refused(option, value, received):
    with pytest.raises(ValueError, match=f"would be wrong. Received: {received}"):
        t5.config_from_huggingface({option: value}, ())


def test_a_gate_of_exact_gelu_has_no_name_of_theirs():
    config = Config(activation="gelu", gated=True)
    with pytest.raises(ValueError, match="`activation` must be .*'gelu_tanh'.* activation='gelu'"):
        t5.config_to_huggingface(config)


def test_the_bias_that_was_never_read_is_left_out(copy_of):
    name = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
    directory = copy_of("t5", tensors={name: np.ones((8, 3), "float32")})
    assert checkpoints.load_model(directory).config.num_buckets == 8


def test_output_weights_stored_twice_must_be_the_embeddings(copy_of, stored_tensors):
    table = stored_tensors(copy_of("t5"))["shared.weight"]
    assert checkpoints.load_model(copy_of("t5", tensors={"lm_head.weight": table}))
    with pytest.raises(ValueError, match="differs  lm_head.weight from shared.weight"):
        checkpoints.load_model(copy_of("t5", tensors={"lm_head.weight": table + 1}))
