import dataclasses

import numpy as np
import pytest
import safetensors.numpy

from tflm import checkpoints
from tflm.checkpoints.families import bert
from tflm.models.bert import Config


def test_the_defaults_of_transformers_are_bert_base():
    assert bert.config_from_huggingface({}, {"pooler.dense.weight"}) == Config()


def test_a_config_goes_out_and_comes_in():
    config = Config(41, 12, 20, 3, 2, 17, 4, 0.2, 0.15, "gelu_tanh", 1e-3)
    names = {"pooler.dense.weight"}
    assert bert.config_from_huggingface(bert.config_to_huggingface(config), names) == config


@pytest.mark.parametrize(
    "option, value",
    [
        ("is_decoder", True),
        ("add_cross_attention", True),
        ("position_embedding_type", "relative_key_query"),
        ("embedding_size", 128),
    ],
)
def test_what_would_be_computed_otherwise_is_refused(option, value):
    with pytest.raises(ValueError, match=f"would be wrong. Received: {option}={value!r}"):
        bert.config_from_huggingface({option: value}, ())


def test_a_checkpoint_without_a_pooler_gives_a_model_without_one(copy_of, results):
    directory = copy_of("bert", without=["pooler.dense.weight", "pooler.dense.bias"])
    model = checkpoints.load_model(directory)
    assert model.pooler is None and not model.config.pooler
    hidden = np.ones((2, 3, 12), "float32")
    np.testing.assert_array_equal(model.pooled(hidden), hidden[:, 0])


def test_old_names_of_normalisations_are_known(copy_of, stored_tensors):
    directory = copy_of("bert")
    expected = checkpoints.load_model(directory)
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    renamed = {}
    for name, array in stored_tensors(directory).items():
        for new, before in old.items():
            name = name.replace(new, before)
        renamed[name] = array
    assert "embeddings.LayerNorm.gamma" in renamed
    renamed["embeddings.position_ids"] = np.arange(17, dtype="float32")[None]
    safetensors.numpy.save_file(renamed, directory / "model.safetensors")
    found = checkpoints.load_model(directory)
    for one, other in zip(found.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_keras_hub_config_gives_the_approximate_activation():
    sizes = {
        "vocabulary_size": 41,
        "num_layers": 2,
        "num_heads": 3,
        "hidden_dim": 12,
        "intermediate_dim": 20,
        "dropout": 0.2,
        "max_sequence_length": 17,
        "num_segments": 4,
    }
    found = bert.config_from_keras_hub(sizes)
    expected = Config(41, 12, 20, 3, 2, 17, 4, 0.2, 0.2, "gelu_tanh", 1e-12)
    assert found == expected == dataclasses.replace(expected, pooler=True)
