import numpy as np
import pytest
from keras import ops

from tflm.models.pointer_generator import Config, PointerGenerator

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
        "dropout": 0.2,
        "attention_dropout": 0.15,
        "activation": "gelu",
        "pre_norm": False,
    },
    SIZES,
]


@pytest.fixture(scope="module")
def model():
    model = PointerGenerator(Config(**SIZES))
    model.build(None)
    return model


def test_logits_are_log_probabilities(model):
    source = np.array([[4, 5, 6, 7, 8]], "int32")
    inputs = {
        "encoder_token_ids": source,
        "encoder_padding_mask": source > 0,
        "decoder_token_ids": np.array([[2, 9, 10]], "int32"),
    }
    logits = ops.convert_to_numpy(model(inputs))
    np.testing.assert_allclose(np.exp(logits).sum(-1), 1.0, rtol=1e-5)


def test_a_closed_gate_writes_nothing_but_the_source(model):
    source = np.array([[21, 5, 21, 7]], "int32")
    inputs = {
        "encoder_token_ids": source,
        "encoder_padding_mask": source > 0,
        "decoder_token_ids": np.array([[2, 9, 10]], "int32"),
    }
    bias = model.copy.gate.bias
    try:
        bias.assign([-60.0])
        probabilities = np.exp(ops.convert_to_numpy(model(inputs)))[0]  # (T, V)
    finally:
        bias.assign([0.0])
    np.testing.assert_allclose(probabilities[:, [5, 7, 21]].sum(-1), 1.0, rtol=1e-5)
    assert (probabilities[:, [5, 7, 21]] > 1e-3).all()


def test_how_much_is_attended_to_again_is_kept_from_step_to_step(model):
    source = np.array([[4, 5, 6], [7, 8, 0]], "int32")
    mask = source > 0
    cache = model.start(model.encode(source, mask), mask, 6, source)
    target = np.array([[2, 9, 10, 11], [2, 12, 13, 14]], "int32")
    _, whole = model.decode(target, cache, 0)
    found = []
    for index in range(4):
        _, cache = model.decode(target[:, index : index + 1], cache, index)
        found.append(ops.convert_to_numpy(cache["overlap"]))
    np.testing.assert_allclose(
        np.concatenate(found, axis=1), ops.convert_to_numpy(whole["overlap"]), atol=1e-5
    )
    assert (found[0] == 0.0).all() and (found[-1] > 0.2).all()
    np.testing.assert_allclose(ops.sum(cache["step"]["covered"], axis=-1), [4.0, 4.0], rtol=1e-5)


def test_it_cannot_start_without_the_tokens_to_copy(model):
    source = np.array([[4, 5, 6]], "int32")
    with pytest.raises(
        ValueError, match="`token_ids` must be given to a model that copies .*: token_ids=None"
    ):
        model.start(model.encode(source, source > 0), source > 0)


def test_it_says_what_was_looked_at(model):
    source = np.array([[4, 5, 6], [7, 8, 0]], "int32")
    mask = source > 0
    cache = model.start(model.encode(source, mask), mask, 6, source)
    target = np.array([[2, 9, 10, 11], [2, 12, 13, 14]], "int32")
    asked = {**cache, "with_attention": True}
    for step in (cache["step"], None):
        _, after = model.decode(target, {**asked, "step": step}, 0)
        assert after["attention"].shape == (2, 4, 3)
