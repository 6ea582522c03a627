import numpy as np
import pytest

from tflm import models
from tflm.models.gpt3 import GPT3, Config

SIZES = {"vocab_size": 29, "hidden_dim": 12, "ffn_dim": 20, "num_heads": 3, "num_layers": 2}
RATES = {"dropout": 0.2, "attention_dropout": 0.15, "embedding_dropout": 0.25}
CONTRACT = [
    {
        **SIZES,
        **RATES,
        "max_length": 17,
        "window": 3,
        "activation": "relu",
        "norm_epsilon": 1e-3,
        "tie_output": False,
    },
    {**SIZES, "max_length": 11},
]


@pytest.mark.parametrize(
    "preset, billions",  # Brown et al. 2020, table 2.1, as rounded there
    [
        ("small", 0.125),
        ("medium", 0.35),
        ("large", 0.76),
        ("xl", 1.3),
        ("2.7b", 2.7),
        ("6.7b", 6.7),
        ("13b", 13.0),
        ("175b", 175.0),
    ],
)
def test_presets_have_the_published_number_of_parameters(preset, billions):
    assert models.num_parameters(f"gpt3/{preset}") / 1e9 == pytest.approx(billions, rel=0.03)


def test_every_second_layer_sees_a_window():
    ids = np.random.default_rng(1).integers(4, 29, (2, 9), "int32")

    def logits(num_layers, window):
        model = GPT3(Config(**{**CONTRACT[0], "num_layers": num_layers, "window": window}))
        model.build(None)
        random = np.random.default_rng(2)
        for weight in model.weights:
            weight.assign(random.normal(0.05, 0.35, weight.shape))
        return np.array(model({"token_ids": ids, "padding_mask": np.ones(ids.shape, bool)}))

    np.testing.assert_array_equal(logits(1, 3), logits(1, None))  # the first layer is dense
    difference = np.abs(logits(2, 3) - logits(2, None)).max((0, 2))
    assert difference[:3].max() < 1e-6  # the window reaches the start
    assert difference[3:].min() > 1e-3
