"""What is true of every encoder in `tflm/models`; CONTRACT as in `test_contracts.py`."""

import dataclasses
import importlib.util
import json
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tflm import models
from tflm.layers.pooling import POOLINGS
from tflm.models.base import Encoder

B, T = 3, 8


def contract(name):
    path = pathlib.Path(__file__).with_name(f"test_{name}.py")
    if not path.is_file():
        return []
    spec = importlib.util.spec_from_file_location(f"encoder_contract_of_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.CONTRACT


FOUND = {name: cls for name, cls in models.ARCHITECTURES.items() if issubclass(cls, Encoder)}
ENCODERS = {name: cls for name, cls in FOUND.items() if contract(name)}


@pytest.fixture(scope="module", params=ENCODERS)
def model(request):
    cls = ENCODERS[request.param]
    model = cls(cls.Config(**contract(request.param)[0]))
    model.build(None)
    random = np.random.default_rng(5)
    for weight in model.weights:
        weight.assign(random.normal(0.05, 0.35, weight.shape))
    return model


@pytest.fixture
def inputs(model):
    mask = np.arange(T) < np.array([8, 3, 5])[:, None]
    ids = np.random.default_rng(0).integers(4, model.config.vocab_size, (B, T))
    return {"token_ids": np.where(mask, ids, 0).astype("int32"), "padding_mask": mask}


def hidden_of(model, inputs, **changes):
    return ops.convert_to_numpy(ops.cast(model({**inputs, **changes}), "float32"))


def test_every_encoder_is_tested_here():
    assert FOUND.keys() - ENCODERS == set()


@pytest.mark.parametrize("name", ENCODERS)
def test_the_changed_config_differs_from_the_default_in_every_field(name):
    fields, defaults = contract(name)[0], dataclasses.asdict(ENCODERS[name].Config())
    assert [key for key in defaults if fields.get(key, defaults[key]) == defaults[key]] == []
    assert len(defaults) <= 15
    config = ENCODERS[name].Config(**fields)
    assert type(config)(**json.loads(json.dumps(dataclasses.asdict(config)))) == config


def test_every_token_has_a_vector(model, inputs):
    hidden = hidden_of(model, inputs)
    assert hidden.shape == (B, T, model.config.hidden_dim)
    assert np.isfinite(hidden).all()
    assert model.POOLING in POOLINGS


def test_padding_is_inert(model, inputs):
    mask = inputs["padding_mask"]
    expected = hidden_of(model, inputs)
    noise = np.where(mask, inputs["token_ids"], 7).astype("int32")
    np.testing.assert_allclose(
        hidden_of(model, inputs, token_ids=noise)[mask], expected[mask], atol=1e-5
    )
    longer = {
        "token_ids": np.pad(noise, ((0, 0), (0, 4)), constant_values=11),
        "padding_mask": np.pad(mask, ((0, 0), (0, 4))),
    }
    np.testing.assert_allclose(hidden_of(model, longer)[:, :T][mask], expected[mask], atol=1e-5)


def test_a_text_is_read_in_a_batch_as_alone(model, inputs):
    expected = hidden_of(model, inputs)
    for row, length in enumerate(inputs["padding_mask"].sum(-1)):
        alone = {name: array[row : row + 1, :length] for name, array in inputs.items()}
        np.testing.assert_allclose(hidden_of(model, alone)[0], expected[row, :length], atol=1e-5)


def test_every_token_counts(model, inputs):
    expected = hidden_of(model, inputs)
    for position in range(T):
        changed = inputs["token_ids"].copy()
        changed[0, position] = 4 + (changed[0, position] - 3) % (model.config.vocab_size - 4)
        moved = np.abs(hidden_of(model, inputs, token_ids=changed) - expected)
        assert moved[0].max() > 1e-4 and moved[1:].max() < 1e-6


def test_a_graph_of_unknown_sizes_gives_the_same(model, inputs):
    ids = tf.TensorSpec([None, None], tf.int32)

    @tf.function(input_signature=[ids, tf.TensorSpec([None, None], tf.bool)])
    def traced(token_ids, padding_mask):
        return model({"token_ids": token_ids, "padding_mask": padding_mask})

    found = traced(inputs["token_ids"], inputs["padding_mask"])
    np.testing.assert_allclose(found, hidden_of(model, inputs), atol=1e-5)


def test_a_gradient_reaches_every_weight(model, inputs):
    with tf.GradientTape() as tape:
        hidden = model(inputs)
        vector = model.pooled(hidden) if hasattr(model, "pooled") else hidden
        loss = tf.reduce_sum(tf.sin(3.0 * vector)) + tf.reduce_sum(tf.sin(hidden))
    gradients = tape.gradient(loss, [weight.value for weight in model.weights])
    for weight, gradient in zip(model.weights, gradients, strict=True):
        assert gradient is not None, weight.path
        values = tf.convert_to_tensor(gradient)
        assert np.isfinite(values).all() and np.any(values), weight.path


def test_dropout_is_on_in_training_only(model, inputs):
    rates = {name: 0.4 for name in dataclasses.asdict(model.config) if name.endswith("dropout")}
    dropping = type(model)(dataclasses.replace(model.config, **rates))
    dropping.build(None)
    dropping.set_weights(model.get_weights())
    np.testing.assert_allclose(hidden_of(dropping, inputs), hidden_of(model, inputs), atol=1e-6)
    trained = ops.convert_to_numpy(dropping(inputs, training=True))
    assert np.abs(trained - hidden_of(model, inputs)).max() > 1e-3


def test_a_saved_model_comes_back_with_config_and_outputs(model, inputs, tmp_path):
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert type(again) is type(model)
    assert again.config == model.config
    np.testing.assert_allclose(hidden_of(again, inputs), hidden_of(model, inputs), atol=1e-6)


def test_mixed_precision_keeps_float32_weights_and_the_answer(model, inputs):
    mixed = type(model)(model.config, dtype="mixed_bfloat16")
    mixed.build(None)
    mixed.set_weights(model.get_weights())
    assert {str(weight.dtype) for weight in mixed.weights} == {"float32"}
    assert mixed(inputs).dtype == "bfloat16"
    mask = inputs["padding_mask"]
    found, expected = hidden_of(mixed, inputs)[mask], hidden_of(model, inputs)[mask]
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.99
