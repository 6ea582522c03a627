"""Every architecture computes in a SavedModel what it computes here; CONTRACT as elsewhere."""

import importlib.util
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tflm import models
from tflm.export import save
from tflm.models.base import Decoder, Encoder, EncoderDecoder

B, S, T = 3, 9, 8
IDS, MASK = tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None, None], tf.bool)


def contract(name):
    path = pathlib.Path(__file__).with_name(f"test_{name}.py")
    spec = importlib.util.spec_from_file_location(f"export_contract_of_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.CONTRACT


def in_two_parts(model, token_ids, cache):
    """Logits of the first half and, from what it left in the cache, of the second."""
    half = tf.shape(token_ids)[1] // 2
    first, cache = model.decode(token_ids[:, :half], cache, 0)
    second, _ = model.decode(token_ids[:, half:], cache, half)
    return tf.concat([first, second], axis=1)


def signature_of(model):
    """What is served of a model, its cache in use."""
    if isinstance(model, Encoder):

        @tf.function(input_signature=[IDS, MASK])
        def serve(token_ids, padding_mask):
            return {"found": model({"token_ids": token_ids, "padding_mask": padding_mask})}

    elif isinstance(model, Decoder):

        @tf.function(input_signature=[IDS, MASK])
        def serve(token_ids, padding_mask):
            return {"found": in_two_parts(model, token_ids, model.start(padding_mask, T))}

    else:

        @tf.function(input_signature=[IDS, MASK, IDS])
        def serve(encoder_token_ids, encoder_padding_mask, decoder_token_ids):
            memory = model.encode(encoder_token_ids, encoder_padding_mask)
            cache = model.start(memory, encoder_padding_mask, T, encoder_token_ids)
            return {"found": in_two_parts(model, decoder_token_ids, cache)}

    return serve


def inputs_of(model):
    random = np.random.default_rng(0)
    lengths = {"": (T, [8, 3, 5])}
    if isinstance(model, EncoderDecoder):
        lengths = {"encoder_": (S, [9, 4, 6]), "decoder_": (T, [8, 8, 8])}
    inputs = {}
    for side, (width, real) in lengths.items():
        mask = np.arange(width) < np.array(real)[:, None]
        mask = mask[:, ::-1] if isinstance(model, Decoder) else mask
        sizes = (model.config.vocab_size, getattr(model.config, "target_vocab_size", None))
        ids = random.integers(4, min(filter(None, sizes)), (B, width))
        inputs[f"{side}token_ids"] = tf.constant(np.where(mask, ids, 0), tf.int32)
        inputs[f"{side}padding_mask"] = tf.constant(mask.copy())
    return inputs


@pytest.mark.slow
@pytest.mark.parametrize("name", models.ARCHITECTURES)
def test_an_exported_model_gives_the_same(name, tmp_path):
    cls = models.ARCHITECTURES[name]
    model = cls(cls.Config(**contract(name)[0]))
    model.build(None)
    random = np.random.default_rng(5)
    for weight in model.weights:
        weight.assign(random.normal(0.05, 0.35, weight.shape))
    inputs = inputs_of(model)
    expected = model(inputs).numpy()
    module = tf.Module()
    module.variables_of_model = [weight.value for weight in model.weights]
    path = save(module, {"serving_default": signature_of(model)}, tmp_path / "exported")
    loaded = tf.saved_model.load(str(path))
    signature = loaded.signatures["serving_default"]
    given = {key: inputs[key] for key in signature.structured_input_signature[1]}
    found = signature(**given)["found"].numpy()
    real = inputs.get("padding_mask", inputs.get("decoder_padding_mask")).numpy()
    np.testing.assert_allclose(found[real], expected[real], atol=2e-5)
    assert found.shape == expected.shape and np.abs(expected[real]).max() > 0.1
