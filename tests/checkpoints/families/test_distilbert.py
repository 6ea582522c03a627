import dataclasses

import pytest

from tflm.checkpoints.families import distilbert
from tflm.models.distilbert import Config


def test_the_defaults_of_transformers_are_the_papers():
    assert distilbert.config_from_huggingface({}, ()) == Config()


def test_a_config_goes_out_and_comes_in():
    config = Config(43, 15, 22, 3, 2, 18, 0.2, 0.15, "relu")
    assert (
        distilbert.config_from_huggingface(distilbert.config_to_huggingface(config), ()) == config
    )


def test_an_epsilon_that_transformers_cannot_have_does_not_go_out():
    config = dataclasses.replace(Config(), norm_epsilon=1e-5)
    with pytest.raises(ValueError, match="`norm_epsilon` must be 1e-12, .*norm_epsilon=1e-05"):
        distilbert.config_to_huggingface(config)


def test_a_decoder_is_refused():
    with pytest.raises(ValueError, match="would be wrong. Received: is_decoder=True"):
        distilbert.config_from_huggingface({"is_decoder": True}, ())
