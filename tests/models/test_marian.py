import numpy as np
from keras import ops

from tflm import models
from tflm.models.marian import Config, Marian

SIZES = {
    "vocab_size": 29,
    "hidden_dim": 12,
    "ffn_dim": 20,
    "num_heads": 3,
    "num_encoder_layers": 2,
    "num_decoder_layers": 1,
}
CONTRACT = [
    {
        **SIZES,
        "target_vocab_size": 23,
        "max_length": 17,
        "dropout": 0.2,
        "attention_dropout": 0.15,
        "ffn_dropout": 0.05,
        "activation": "tanh",
    },
    SIZES,
]


def test_the_preset_has_the_published_number_of_parameters():
    """The transformers library counts two tables of positions, which are computed here, and not
    the bias of the logits."""
    positions, bias = 2 * 512 * 512, 58101
    assert models.num_parameters("marian/opus") == 74_410_496 - positions + bias


def test_positions_are_sines_and_then_cosines():
    model = Marian(Config(**SIZES))
    model.build(None)
    ids = np.array([[4, 5, 6]], "int32")
    places = np.arange(3)[:, None] / 10000 ** (np.arange(0, 12, 2) / 12)
    where = np.concatenate([np.sin(places), np.cos(places)], axis=1)
    table = ops.convert_to_numpy(model.embedding.embeddings)
    expected = table[ids] * np.sqrt(12) + where
    np.testing.assert_allclose(model.embed_source(ids, None), expected, atol=1e-5)
    later = model.embed_target(ids[:, :1], 2, None)
    np.testing.assert_allclose(later[0, 0], table[4] * np.sqrt(12) + where[2], atol=1e-5)


def test_decoding_starts_with_padding_and_never_writes_it():
    assert Marian.TARGET_START == Marian.NEVER_WRITTEN == ("pad",)
