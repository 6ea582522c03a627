from tflm import models
from tflm.models.gpt import GPT, Config

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


def test_the_preset_has_the_published_number_of_parameters():
    assert models.num_parameters("gpt/base") == 116_534_784


def test_blocks_normalise_after_their_sums_and_nothing_follows_the_last():
    model = GPT(Config(**CONTRACT[1]))
    model.build(None)
    paths = [weight.path for weight in model.weights]
    assert not any("pre_norm" in path for path in paths)
    norms = {path.split("/")[-2] for path in paths if "norm" in path}
    assert norms == {"attention_norm", "feed_forward_norm"}
