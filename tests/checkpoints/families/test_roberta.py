import numpy as np
import pytest

from tflm.checkpoints.families import roberta
from tflm.models.roberta import Config

PUBLISHED = {  # of roberta-base's config.json, what differs from BERT's defaults
    "max_position_embeddings": 514,
    "type_vocab_size": 1,
    "layer_norm_eps": 1e-5,
}


def test_the_published_configuration_is_the_default():
    assert roberta.config_from_huggingface(PUBLISHED, ()) == Config()


def test_a_config_goes_out_and_comes_in():
    config = Config(47, 16, 21, 4, 3, 17, 2, 0.2, 0.15, "silu", 2e-3, pooler=True)
    written = roberta.config_to_huggingface(config)
    assert written["max_position_embeddings"] == 19 and written["pad_token_id"] == 1
    assert roberta.config_from_huggingface(written, {"pooler.dense.weight"}) == config


def test_positions_that_begin_elsewhere_are_refused():
    with pytest.raises(ValueError, match=r"Received: pad_token_id=0 \(implemented: 1\)"):
        roberta.config_from_huggingface({"pad_token_id": 0}, ())


def test_keras_hub_has_no_rows_for_padding_and_no_token_types():
    sizes = {
        "vocabulary_size": 47,
        "num_layers": 1,
        "num_heads": 4,
        "hidden_dim": 16,
        "intermediate_dim": 21,
        "dropout": 0.2,
        "max_sequence_length": 17,
    }
    config = roberta.config_from_keras_hub(sizes)
    assert config.num_segments == 0 and not config.pooler
    rules = {rule.ours: rule for rule in roberta.keras_hub_weights(config)}
    table = np.ones((17, 16), "float32")
    found = rules["positions/embeddings"].to_ours(table)
    assert found.shape == (19, 16) and not found[:2].any() and found[2:].all()
    assert rules["positions/embeddings"].shapes((19, 16)) == [(17, 16)]
