import dataclasses

import numpy as np
import pytest

from tflm import models
from tflm.models.bert import Bert
from tflm.models.bert import Config as BertConfig
from tflm.models.distilbert import Config, DistilBert

# The first differs from the default in every field.
CONTRACT = [
    {
        "vocab_size": 29,
        "hidden_dim": 12,
        "ffn_dim": 20,
        "num_heads": 3,
        "num_layers": 2,
        "max_length": 17,
        "dropout": 0.2,
        "attention_dropout": 0.15,
        "activation": "tanh",
        "norm_epsilon": 1e-3,
    },
    {"vocab_size": 29, "hidden_dim": 12, "ffn_dim": 20, "num_heads": 3, "num_layers": 1},
]


@pytest.mark.parametrize("preset, published", [("base", 66e6), ("base_multilingual", 134e6)])
def test_presets_have_the_published_number_of_parameters(preset, published):
    assert models.num_parameters(f"distilbert/{preset}") == pytest.approx(published, rel=0.01)


def test_it_is_a_bert_without_segments_and_pooler():
    config = Config(**CONTRACT[0])
    model = DistilBert(config)
    model.build(None)
    same = Bert(BertConfig(**dataclasses.asdict(config), num_segments=0, pooler=False))
    same.build(None)
    same.set_weights(model.get_weights())
    ids = np.array([[4, 9, 2, 7, 5]], "int32")
    inputs = {"token_ids": ids, "padding_mask": ids != 5}
    np.testing.assert_array_equal(model(inputs), same(inputs))
    assert model.pooler is None and model.segment_embedding is None
    assert "pooler" not in dataclasses.asdict(config)
