import numpy as np
import pytest

from tflm import models
from tflm.models.gpt2 import GPT2, Config

SIZES = {"vocab_size": 29, "hidden_dim": 12, "ffn_dim": 20, "num_heads": 3, "num_layers": 2}
RATES = {"dropout": 0.2, "attention_dropout": 0.15, "embedding_dropout": 0.25}
CONTRACT = [
    {
        **SIZES,
        **RATES,
        "max_length": 17,
        "activation": "relu",
        "norm_epsilon": 1e-3,
        "tie_output": False,
    },
    {**SIZES, "max_length": 11},
]


@pytest.mark.parametrize(
    "preset, parameters",  # as the published checkpoints have them
    [
        ("small", 124_439_808),
        ("medium", 354_823_168),
        ("large", 774_030_080),
        ("xl", 1_557_611_200),
    ],
)
def test_presets_have_the_published_number_of_parameters(preset, parameters):
    assert models.num_parameters(f"gpt2/{preset}") == parameters


def test_more_tokens_than_positions_are_refused():
    model = GPT2(Config(**CONTRACT[0]))
    model.build(None)
    with pytest.raises(ValueError, match="`max_length` must be at most .*17.*max_length=18"):
        model.start(np.ones((2, 3), bool), 18)


def test_logits_that_nobody_reads_are_left_out():
    model = GPT2(Config(**CONTRACT[1]))
    model.build(None)
    token_ids = np.arange(14).reshape(2, 7)
    cache = model.start(np.ones((2, 7), bool))
    whole, _ = model.decode(token_ids, cache)
    logits, _ = model.decode(token_ids, {**cache, "unread": 5})
    assert logits.shape == (2, 2, 29)
    np.testing.assert_allclose(logits, whole[:, 5:], atol=1e-6)
