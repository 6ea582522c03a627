import pytest

from tflm.checkpoints.families import gpt
from tflm.models.gpt import GPT, Config


def test_the_published_configuration_is_the_default():
    assert gpt.config_from_huggingface({}, ()) == Config() == GPT.PRESETS["base"]


def test_a_config_goes_out_and_comes_in():
    config = Config(53, 16, 64, 4, 3, 19, 0.2, 0.15, 0.25, "relu", 2e-3)
    written = gpt.config_to_huggingface(config)
    assert (written["n_embd"], written["n_positions"], written["afn"]) == (16, 19, "relu")
    assert gpt.config_from_huggingface(written, ()) == config


def test_a_feed_forward_network_of_another_width_cannot_go_out():
    with pytest.raises(ValueError, match="`ffn_dim` must be .*21"):
        gpt.config_to_huggingface(Config(hidden_dim=16, ffn_dim=21, num_heads=4))


def test_an_unknown_activation_lists_the_known_ones():
    with pytest.raises(ValueError, match="gelu.*'nothing'"):
        gpt.config_from_huggingface({"afn": "nothing"}, ())
