import dataclasses

import keras
import pytest

from tflm import models
from tflm.models.base import EncoderDecoder, Model


@dataclasses.dataclass(frozen=True)
class Sizes:
    width: int = 3
    depth: int = 2


class Anything(Model):
    Config = Sizes


class Nothing(EncoderDecoder):
    Config = Sizes


class Recorder(EncoderDecoder):
    """Says what it was asked, in order."""

    Config = Sizes

    def encode(self, token_ids, padding_mask, training=None):
        return [("encode", token_ids, padding_mask, training)]

    def start(self, memory, padding_mask, max_length=None, token_ids=None):
        asked = [*memory, ("start", padding_mask, max_length, token_ids)]
        return {"step": "empty", "memory": asked}

    def decode(self, token_ids, cache, index=0, training=None):
        return [*cache["memory"], ("decode", token_ids, cache["step"], index, training)], cache


def test_a_config_goes_in_as_fields_and_comes_back_as_a_config():
    model = Anything(Sizes(width=5), name="anything", dtype="mixed_bfloat16")
    config = model.get_config()
    assert config["config"] == {"width": 5, "depth": 2}
    again = Anything.from_config(config)
    assert again.config == Sizes(width=5)
    assert (again.name, again.dtype_policy.name) == ("anything", "mixed_bfloat16")
    assert config["config"] == {"width": 5, "depth": 2}  # left as it was given


def test_a_subclass_is_known_to_keras_without_saying_so():
    assert keras.saving.get_registered_name(Anything) == "tflm>Anything"
    assert keras.saving.get_registered_object("tflm>Nothing") is Nothing


def test_call_is_encode_start_and_decode_without_a_cache():
    asked = Recorder(Sizes()).call(
        {
            "encoder_token_ids": "source",
            "encoder_padding_mask": "mask",
            "decoder_token_ids": "target",
            "decoder_padding_mask": "unused",
        },
        training=True,
    )
    assert asked == [
        ("encode", "source", "mask", True),
        ("start", "mask", None, "source"),
        ("decode", "target", None, 0, True),
    ]


@pytest.mark.parametrize(
    "method, arguments",
    [
        (EncoderDecoder.encode, (None, None)),
        (EncoderDecoder.start, (None, None)),
        (EncoderDecoder.decode, (None, {})),
    ],
)
def test_an_architecture_must_say_how_it_works(method, arguments):
    with pytest.raises(NotImplementedError):
        method(Nothing(Sizes()), *arguments)


def test_a_config_is_checked_without_a_trace():
    network, config = models.find("transformer_encoder/tiny")
    names = []
    for _ in range(2):
        network(config)  # "transformer_encoder" itself may have no number yet
        models.check(network, config)
        names.append(network(config).name)
    first, second = (int(name.rpartition("_")[2]) for name in names)
    assert second == first + 2
    with pytest.raises(ValueError, match="`hidden_dim` must be .* Received: .*hidden_dim=7"):
        models.check(network, dataclasses.replace(config, hidden_dim=7))
