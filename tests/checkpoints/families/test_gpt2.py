import numpy as np
import pytest

from tflm import checkpoints
from tflm.checkpoints.families import gpt2
from tflm.models.gpt2 import GPT2, Config

SIZES = {"vocab_size": 53, "hidden_dim": 16, "num_heads": 4, "num_layers": 3, "max_length": 19}


def test_the_published_configuration_is_the_default():
    assert gpt2.config_from_huggingface({}, ()) == Config() == GPT2.PRESETS["small"]


@pytest.mark.parametrize("tie_output", [True, False])
def test_a_config_goes_out_and_comes_in(tie_output):
    config = Config(
        **SIZES,
        ffn_dim=21,
        dropout=0.2,
        attention_dropout=0.15,
        embedding_dropout=0.25,
        activation="relu",
        norm_epsilon=2e-3,
        tie_output=tie_output,
    )
    written = gpt2.config_to_huggingface(config)
    assert (written["n_embd"], written["n_inner"], written["n_positions"]) == (16, 21, 19)
    assert gpt2.config_from_huggingface(written, ()) == config


def test_attention_scaled_by_the_layers_number_is_refused():
    with pytest.raises(ValueError, match="scale_attn_by_inverse_layer_idx=True"):
        gpt2.config_from_huggingface({"scale_attn_by_inverse_layer_idx": True}, ())


def test_every_layer_has_its_rules():
    config = Config(**SIZES, ffn_dim=21)
    names = [rule.ours for rule in gpt2.weights(config)]
    assert len(names) == len(set(names))
    layers = {name.split("/")[0] for name in names if name.startswith("block_")}
    assert layers == {"block_0", "block_1", "block_2"}


def test_a_keras_hub_backbone_becomes_a_model_that_computes_the_same():
    import keras_hub

    backbone = keras_hub.models.GPT2Backbone(
        vocabulary_size=53,
        num_layers=3,
        num_heads=4,
        hidden_dim=16,
        intermediate_dim=21,
        max_sequence_length=19,
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
    assert (model.config.max_length, model.config.ffn_dim) == (19, 21)
