import dataclasses

from tflm.models.bert import Config
from tflm.models.text_cnn import Config as WindowConfig
from tflm.tasks.masked_lm_recipes import MaskedLMSettings
from tflm.tasks.network_sizes import sized


def test_sizes_are_those_of_the_settings():
    settings = MaskedLMSettings(
        hidden_dim=24,
        num_layers=3,
        num_heads=2,
        sequence_length=17,
        dropout=0.2,
        attention_dropout=0.0,
    )
    found = sized(Config(), settings, 99)
    assert found == dataclasses.replace(
        Config(),
        vocab_size=99,
        hidden_dim=24,
        ffn_dim=96,
        num_layers=3,
        num_heads=2,
        max_length=17,
        dropout=0.2,
        attention_dropout=0.0,
    )


def test_a_size_of_zero_is_the_preset_s():
    found = sized(Config(hidden_dim=36, num_layers=5), MaskedLMSettings(sequence_length=17), 99)
    assert (found.hidden_dim, found.ffn_dim, found.num_layers) == (36, 3072, 5)


def test_what_an_architecture_has_not_is_left_out():
    found = sized(WindowConfig(), MaskedLMSettings(dropout=0.25, hidden_dim=60), 99)
    expected = {"hidden_dim": 60, "dropout": 0.25, "embedding_dropout": 0.25}
    assert found == dataclasses.replace(WindowConfig(), vocab_size=99, **expected)
