import numpy as np
import pytest

from tflm import checkpoints
from tflm.checkpoints.families import marian
from tflm.models.marian import Config

PUBLISHED = {  # of opus-mt-en-de's config.json
    "activation_function": "swish",
    "d_model": 512,
    "decoder_attention_heads": 8,
    "decoder_ffn_dim": 2048,
    "decoder_layers": 6,
    "encoder_attention_heads": 8,
    "encoder_ffn_dim": 2048,
    "encoder_layers": 6,
    "max_position_embeddings": 512,
    "normalize_before": False,
    "normalize_embedding": False,
    "add_final_layer_norm": False,
    "add_bias_logits": False,
    "scale_embedding": True,
    "static_position_embeddings": True,
    "vocab_size": 58101,
}


def test_the_published_configuration_is_the_default():
    assert marian.config_from_huggingface(PUBLISHED, ()) == Config()


@pytest.mark.parametrize("target", [None, 39])
def test_a_config_goes_out_and_comes_in(target):
    config = Config(45, target, 12, 22, 6, 3, 2, 29, 0.2, 0.15, 0.05, "relu")
    written = marian.config_to_huggingface(config)
    assert marian.config_from_huggingface(written, ()) == config
    pad = (target or 45) - 1
    assert written["decoder_start_token_id"] == written["pad_token_id"] == pad
    assert written["bad_words_ids"] == [[pad]]


@pytest.mark.parametrize(
    "option, value",
    [
        ("scale_embedding", False),
        ("normalize_embedding", True),
        ("decoder_vocab_size", 58100),
        ("decoder_ffn_dim", 2049),
    ],
)
def test_what_would_be_computed_otherwise_is_refused(option, value):
    with pytest.raises(ValueError, match=f"would be wrong. Received: {option}={value!r}"):
        marian.config_from_huggingface({**PUBLISHED, option: value}, ())


def test_stored_sinusoids_are_not_missed_and_not_read(copy_of):
    table = np.ones((29, 12), "float32")
    names = (f"model.{side}.embed_positions.weight" for side in ("encoder", "decoder"))
    directory = copy_of("marian", tensors={name: table for name in names})
    model = checkpoints.load_model(directory)
    assert [w.path for w in model.weights if "position" in w.path] == []


def test_two_vocabularies_have_an_embedding_each(fixture_directory):
    model = checkpoints.load_model(fixture_directory("marian_two_vocabularies"))
    assert model.embedding.embeddings.shape == (45, 12)
    assert model.target_embedding.embeddings.shape == (39, 12)
    assert model.output_embedding is model.target_embedding
