"""What is true of every decoder in `tflm/models`; CONTRACT as in `test_contracts.py`."""

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
from tflm.models.base import Decoder

B, T = 3, 8
SPLITS = [(1,) * T, (3, 1, 1, 1, 2), (2, 6), (T,)]


def contract(name):
    path = pathlib.Path(__file__).with_name(f"test_{name}.py")
    spec = importlib.util.spec_from_file_location(f"decoder_contract_of_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.CONTRACT


VARIANTS = {
    f"{name}-{i or 'changed'}": (name, fields)
    for name, cls in models.ARCHITECTURES.items()
    if issubclass(cls, Decoder)
    for i, fields in enumerate(contract(name))
}
# The second and further configs of all but GPT-2 can wait: they are nearer the defaults.
PARAMS = [
    variant
    if variant.endswith("-changed") or name == "gpt2"
    else pytest.param(variant, marks=pytest.mark.slow)
    for variant, (name, _) in VARIANTS.items()
]


@pytest.fixture(scope="module", params=PARAMS)
def model(request):
    name, fields = VARIANTS[request.param]
    cls = models.ARCHITECTURES[name]
    model = cls(cls.Config(**fields))
    model.build(None)
    random = np.random.default_rng(5)
    for weight in model.weights:
        weight.assign(random.normal(0.05, 0.35, weight.shape))
    return model


@pytest.fixture
def token_ids(model):
    return np.random.default_rng(0).integers(4, model.config.vocab_size, (B, T), "int32")


def logits_of(model, token_ids, mask=None, **inputs):
    mask = np.ones(token_ids.shape, bool) if mask is None else mask
    found = model({"token_ids": token_ids, "padding_mask": mask, **inputs})
    return ops.convert_to_numpy(ops.cast(found, "float32"))


def decoded(model, token_ids, mask, split):
    """Logits of `token_ids` read in pieces of the sizes in `split`."""
    cache, pieces, index = model.start(mask, T), [], 0
    for size in split:
        logits, cache = model.decode(token_ids[:, index : index + size], cache, index)
        index += size
        pieces.append(ops.convert_to_numpy(logits))
    return np.concatenate(pieces, axis=1)


def test_a_changed_config_differs_from_the_default_in_every_field():
    for name, cls in models.ARCHITECTURES.items():
        if issubclass(cls, Decoder):
            fields, defaults = contract(name)[0], dataclasses.asdict(cls.Config())
            same = [key for key in defaults if fields.get(key, defaults[key]) == defaults[key]]
            assert same == [], name


def test_logits_are_a_row_of_the_vocabulary_for_every_token(model, token_ids):
    logits = logits_of(model, token_ids)
    assert logits.shape == (B, T, model.config.vocab_size)
    assert np.isfinite(logits).all()


@pytest.mark.parametrize("position", [1, 4, T - 1])
def test_the_future_does_not_leak(model, token_ids, position):
    changed = token_ids.copy()
    changed[:, position:] = 4 + (changed[:, position:] - 3) % (model.config.vocab_size - 4)
    before, after = logits_of(model, token_ids), logits_of(model, changed)
    np.testing.assert_allclose(after[:, :position], before[:, :position], atol=1e-5)
    assert np.abs(after - before)[:, position].max() > 1e-3


@pytest.mark.parametrize("split", SPLITS, ids=str)
def test_step_by_step_equals_the_whole(model, token_ids, split):
    mask = np.ones((B, T), bool)
    found = decoded(model, token_ids, mask, split)
    np.testing.assert_allclose(found, logits_of(model, token_ids), atol=2e-5)


def padded_left(token_ids, counts, noise=7):
    """Each row moved to the right by its count, noise before it, and its mask."""
    ids, mask = np.full_like(token_ids, noise), np.zeros(token_ids.shape, bool)
    for row, count in enumerate(counts):
        ids[row, count:] = token_ids[row, : T - count]
        mask[row, count:] = True
    return ids, mask


def test_padding_on_the_left_is_inert(model, token_ids):
    counts = [0, 3, 5]
    expected = logits_of(model, token_ids)
    ids, mask = padded_left(token_ids, counts)
    for found in (logits_of(model, ids, mask), decoded(model, ids, mask, (6, 1, 1))):
        for row, count in enumerate(counts):
            wanted = expected[row, : T - count]
            np.testing.assert_allclose(found[row, count:], wanted, atol=2e-5)


def test_padding_on_the_right_is_inert(model, token_ids):
    lengths = np.array([T, 2, 5])
    mask = np.arange(T) < lengths[:, None]
    found = logits_of(model, np.where(mask, token_ids, 7), mask)
    np.testing.assert_allclose(found[mask], logits_of(model, token_ids)[mask], atol=2e-5)


def test_packed_texts_equal_texts_alone(model, token_ids):
    segments = np.repeat([[0, 0, 0, 1, 1, 1, 1, 2]], B, axis=0).astype("int32")
    found = logits_of(model, token_ids, segment_ids=segments)
    for start, stop in ((0, 3), (3, 7), (7, 8)):
        alone = logits_of(model, token_ids[:, start:stop])
        np.testing.assert_allclose(found[:, start:stop], alone, atol=2e-5)


def test_a_graph_of_unknown_sizes_gives_the_same(model, token_ids):
    ids = tf.TensorSpec([None, None], tf.int32)

    @tf.function(input_signature=[ids, tf.TensorSpec([None, None], tf.bool)])
    def traced(token_ids, mask):
        half = tf.shape(token_ids)[1] // 2
        first, cache = model.decode(token_ids[:, :half], model.start(mask, T), 0)
        second, _ = model.decode(token_ids[:, half:], cache, half)
        return tf.concat([first, second], axis=1)

    found = traced(token_ids, np.ones((B, T), bool))
    np.testing.assert_allclose(found, logits_of(model, token_ids), atol=2e-5)


def test_a_cache_has_a_row_for_each_text_and_grows_along_its_third_axis(model, token_ids):
    cache = model.start(np.ones((B, T), bool), T)
    _, grown = model.decode(token_ids[:, :3], cache, 0)
    before, after = tf.nest.flatten(cache["step"]), tf.nest.flatten(grown["step"])
    for empty, full in zip(before, after, strict=True):
        assert empty.dtype == full.dtype and full.shape[0] == B
        if len(full.shape) == 4:
            assert (empty.shape[2], full.shape[2]) == (0, 3)
        else:
            assert empty.shape == full.shape


def test_a_saved_model_comes_back_with_config_and_outputs(model, token_ids, tmp_path):
    expected = logits_of(model, token_ids)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert type(again) is type(model) and again.config == model.config
    np.testing.assert_allclose(logits_of(again, token_ids), expected, atol=1e-6)


def test_a_config_survives_json(model):
    fields = json.loads(json.dumps(dataclasses.asdict(model.config)))
    assert type(model.config)(**fields) == model.config
    with pytest.raises(dataclasses.FrozenInstanceError):
        model.config.vocab_size = 7


def test_bfloat16_gives_about_the_same(model, token_ids):
    expected = logits_of(model, token_ids)
    for dtype in ("bfloat16", "mixed_bfloat16"):
        found = logits_of(model.to_dtype(dtype), token_ids)
        assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.98, dtype


def test_a_gradient_reaches_every_weight(model, token_ids):
    with tf.GradientTape() as tape:
        logits = model({"token_ids": token_ids, "padding_mask": np.ones((B, T), bool)})
        loss = tf.reduce_mean(tf.reduce_logsumexp(logits, axis=-1) - logits[..., 5])
    gradients = tape.gradient(loss, [weight.value for weight in model.trainable_variables])
    for weight, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert gradient is not None, weight.path
        assert np.any(tf.convert_to_tensor(gradient)), weight.path
