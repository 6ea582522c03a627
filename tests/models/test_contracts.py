"""What is true of every encoder-decoder in `tflm/models`.

The test file of an architecture holds CONTRACT, the fields of the small configs that it is tested
with here. The first differs from the default in every field.
"""

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

B, S, T = 5, 9, 8
PAD = 0


def contract(name):
    path = pathlib.Path(__file__).with_name(f"test_{name}.py")
    if not path.is_file():
        return []
    spec = importlib.util.spec_from_file_location(f"contract_of_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, "CONTRACT", [])


FOUND = {
    name: contract(name)
    for name, cls in models.ARCHITECTURES.items()
    if issubclass(cls, models.EncoderDecoder)
}
CONFIGS = {name: variants for name, variants in FOUND.items() if variants}
VARIANTS = {
    f"{name}-{i or 'changed'}": (name, fields)
    for name, variants in CONFIGS.items()
    for i, fields in enumerate(variants)
}
# The second and further configs of all but the Transformer can wait: they are nearer the defaults.
PARAMS = [
    variant
    if variant.endswith("-changed") or name == "transformer"
    else pytest.param(variant, marks=pytest.mark.slow)
    for variant, (name, _) in VARIANTS.items()
]
SPLITS = [(1,) * T, (3, 1, 1, 1, 2), (2, 6), (T,)]


def randomized(model, seed=5):
    """Weights that are all random: fresh biases would hide mistakes."""
    random = np.random.default_rng(seed)
    for weight in model.weights:
        weight.assign(random.normal(0.05, 0.35, weight.shape))
    return model


@pytest.fixture(scope="module", params=PARAMS)
def model(request):
    name, fields = VARIANTS[request.param]
    cls = models.ARCHITECTURES[name]
    model = cls(cls.Config(**fields))
    model.build(None)
    return randomized(model)


@pytest.fixture
def inputs(model):
    random = np.random.default_rng(0)
    lengths = {"encoder": ([9, 4, 1, 7, 6], S), "decoder": ([3, 8, 5, 1, 6], T)}
    sizes = {"encoder": model.config.vocab_size, "decoder": target_vocab_size(model)}
    inputs = {}
    for side, (real, width) in lengths.items():
        mask = np.arange(width) < np.array(real)[:, None]
        ids = np.where(mask, random.integers(4, sizes[side], (B, width)), PAD)
        inputs[f"{side}_token_ids"] = ids.astype("int32")
        inputs[f"{side}_padding_mask"] = mask
    return inputs


def target_vocab_size(model):
    return getattr(model.config, "target_vocab_size", None) or model.config.vocab_size


def logits_of(model, inputs, **changes):
    return ops.convert_to_numpy(model({**inputs, **changes}))


def started(model, inputs, rows=1):
    """A cache with `rows` rows for each source."""
    mask = inputs["encoder_padding_mask"]
    ids = inputs["encoder_token_ids"]
    cache = model.start(model.encode(ids, mask), mask, T, ids)
    step = tf.nest.map_structure(lambda x: tf.repeat(x, rows, axis=0), cache["step"])
    return {**cache, "step": step}


def decoded(model, cache, token_ids, split):
    """Logits of `token_ids` read in pieces of the sizes in `split`."""
    pieces, index = [], 0
    for size in split:
        logits, cache = model.decode(token_ids[:, index : index + size], cache, index)
        index += size
        pieces.append(ops.convert_to_numpy(logits))
    assert index == token_ids.shape[1]
    return np.concatenate(pieces, axis=1)


def test_every_file_in_the_folder_is_an_architecture():
    files = {path.stem for path in pathlib.Path(models.__path__[0]).glob("*.py")}
    assert files - {"__init__", "base"} == models.ARCHITECTURES.keys()


def test_every_encoder_decoder_is_tested_here():
    assert [name for name, variants in FOUND.items() if not variants] == []
    assert "transformer" in CONFIGS


@pytest.mark.parametrize("name", CONFIGS)
def test_the_tested_config_differs_from_the_default_in_every_field(name):
    cls = models.ARCHITECTURES[name]
    fields = CONFIGS[name][0]
    defaults = dataclasses.asdict(cls.Config())
    assert [key for key in defaults if fields.get(key, defaults[key]) == defaults[key]] == []
    sizes = [value for value in fields.values() if type(value) is int]
    assert len({*sizes, B, S, T}) == len(sizes) + 3


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_is_a_few_frozen_scalars_that_survive_json(name):
    config_class = models.ARCHITECTURES[name].Config
    config = config_class(**CONFIGS[name][0])
    fields = dataclasses.asdict(config)
    assert len(fields) <= 15
    assert config_class(**json.loads(json.dumps(fields))) == config
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.vocab_size = 7


def test_logits_are_a_row_of_the_target_vocabulary_for_every_token(model, inputs):
    logits = logits_of(model, inputs)
    assert logits.shape == (B, T, target_vocab_size(model))
    assert logits.dtype == "float32"
    assert np.isfinite(logits).all()


@pytest.mark.parametrize("position", [1, 4, T - 1])
def test_the_future_does_not_leak(model, inputs, position):
    changed = inputs["decoder_token_ids"].copy()
    changed[:, position:] = 4 + (changed[:, position:] + 1) % 19
    before, after = logits_of(model, inputs), logits_of(model, inputs, decoder_token_ids=changed)
    np.testing.assert_allclose(after[:, :position], before[:, :position], atol=1e-6)
    assert np.abs(after - before)[:, position].max(-1).min() > 1e-3


def test_source_padding_is_inert(model, inputs):
    mask = inputs["encoder_padding_mask"]
    expected = logits_of(model, inputs)
    noise = np.where(mask, inputs["encoder_token_ids"], 7)
    np.testing.assert_allclose(
        logits_of(model, inputs, encoder_token_ids=noise), expected, atol=1e-5
    )
    longer = {
        "encoder_token_ids": np.pad(noise, ((0, 0), (0, 4)), constant_values=11),
        "encoder_padding_mask": np.pad(mask, ((0, 0), (0, 4))),
    }
    np.testing.assert_allclose(logits_of(model, inputs, **longer), expected, atol=1e-5)


def test_every_real_source_token_counts(model, inputs):
    expected = logits_of(model, inputs)
    ids = inputs["encoder_token_ids"]
    last = inputs["encoder_padding_mask"].sum(-1) - 1
    for position in (np.zeros(B, int), last):
        changed = ids.copy()
        changed[np.arange(B), position] = 4 + (ids[np.arange(B), position] + 1) % 25
        found = logits_of(model, inputs, encoder_token_ids=changed)
        assert np.abs(found - expected).max((1, 2)).min() > 1e-4


def test_target_padding_on_the_right_is_inert(model, inputs):
    expected = logits_of(model, inputs)
    real = inputs["decoder_padding_mask"]
    noise = np.where(real, inputs["decoder_token_ids"], 7)
    found = logits_of(model, inputs, decoder_token_ids=noise)
    np.testing.assert_allclose(found[real], expected[real], atol=1e-5)


def test_a_sentence_is_answered_in_a_batch_as_alone(model, inputs):
    expected = logits_of(model, inputs)
    for row in range(B):
        alone = {
            f"{side}_{what}": inputs[f"{side}_{what}"][
                row : row + 1, : inputs[f"{side}_padding_mask"][row].sum()
            ]
            for side in ("encoder", "decoder")
            for what in ("token_ids", "padding_mask")
        }
        found = logits_of(model, alone)[0]
        np.testing.assert_allclose(found, expected[row, : len(found)], atol=1e-5)


@pytest.mark.parametrize("split", SPLITS, ids=str)
def test_step_by_step_equals_the_whole(model, inputs, split):
    found = decoded(model, started(model, inputs), inputs["decoder_token_ids"], split)
    np.testing.assert_allclose(found, logits_of(model, inputs), atol=1e-5)


def test_several_rows_may_share_a_source(model, inputs):
    rows = 3
    ids = np.random.default_rng(1).integers(4, target_vocab_size(model), (rows * B, T), "int32")
    found = decoded(model, started(model, inputs, rows), ids, (2, 1, 1, 4))
    repeated = {name: np.repeat(array, rows, axis=0) for name, array in inputs.items()}
    expected = logits_of(model, repeated, decoder_token_ids=ids)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_cache_grows_along_its_third_axis_and_memory_stays(model, inputs):
    cache = started(model, inputs)
    _, grown = model.decode(inputs["decoder_token_ids"][:, :3], cache, 0)
    _, grown = model.decode(inputs["decoder_token_ids"][:, 3:4], grown, 3)
    before, after = tf.nest.flatten(cache["step"]), tf.nest.flatten(grown["step"])
    assert [x.dtype for x in before] == [x.dtype for x in after]
    for empty, full in zip(before, after, strict=True):
        sizes = list(empty.shape)
        if len(sizes) == 4:
            assert sizes[2] == 0
            sizes[2] = 4
        assert full.shape == sizes
    changed = [not np.array_equal(x, y) for x, y in zip(before, after, strict=True)]
    assert any(changed)
    for one, other in zip(
        tf.nest.flatten(cache["memory"]), tf.nest.flatten(grown["memory"]), strict=True
    ):
        assert one.shape[0] == B
        np.testing.assert_array_equal(one, other)


def test_a_graph_of_unknown_sizes_gives_the_same(model, inputs):
    ids = tf.TensorSpec([None, None], tf.int32)

    @tf.function(input_signature=[ids, tf.TensorSpec([None, None], tf.bool), ids])
    def traced(source, mask, target):
        cache = model.start(model.encode(source, mask), mask, T, source)
        half = tf.shape(target)[1] // 2
        first, cache = model.decode(target[:, :half], cache, 0)
        second, _ = model.decode(target[:, half:], cache, half)
        return tf.concat([first, second], axis=1)

    found = traced(
        inputs["encoder_token_ids"], inputs["encoder_padding_mask"], inputs["decoder_token_ids"]
    )
    np.testing.assert_allclose(found, logits_of(model, inputs), atol=1e-5)


def test_dropout_is_on_in_training_only(inputs, model):
    dropping = type(model)(dataclasses.replace(model.config, dropout=0.4))
    dropping.build(None)
    dropping.set_weights(model.get_weights())
    expected = logits_of(model, inputs)
    np.testing.assert_allclose(logits_of(dropping, inputs), expected, atol=1e-6)
    trained = ops.convert_to_numpy(dropping(inputs, training=True))
    assert np.abs(trained - expected).max() > 1e-3


@pytest.mark.parametrize("how", ["built", "called"])
def test_a_saved_model_comes_back_with_config_and_outputs(model, inputs, tmp_path, how):
    saved = type(model)(model.config, name="anything")
    saved.build(None) if how == "built" else saved(inputs)
    saved.set_weights(model.get_weights())
    expected = logits_of(model, inputs)
    saved.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert type(again) is type(model)
    assert again.config == model.config
    assert (again.name, again.dtype_policy.name) == ("anything", "float32")
    np.testing.assert_allclose(logits_of(again, inputs), expected, atol=1e-6)


def test_a_model_survives_its_config(model):
    config = json.loads(json.dumps(type(model)(model.config, dtype="mixed_bfloat16").get_config()))
    again = type(model).from_config(config)
    assert again.config == model.config
    assert again.dtype_policy.name == "mixed_bfloat16"
    assert again.get_config() == config


def test_a_gradient_reaches_every_weight(model, inputs):
    with tf.GradientTape() as tape:
        logits = model(inputs)
        loss = tf.reduce_mean(tf.reduce_logsumexp(logits, axis=-1) - logits[..., 5])
    weights = model.trainable_variables
    gradients = tape.gradient(loss, [weight.value for weight in weights])
    assert len(weights) == len(model.weights)
    for weight, gradient in zip(weights, gradients, strict=True):
        assert gradient is not None, weight.path
        values = tf.convert_to_tensor(gradient)
        assert np.isfinite(values).all() and np.any(values), weight.path


def test_mixed_precision_keeps_float32_weights_and_the_answer(model, inputs):
    mixed = type(model)(model.config, dtype="mixed_bfloat16")
    mixed.build(None)
    mixed.set_weights(model.get_weights())
    assert {str(weight.dtype) for weight in mixed.weights} == {"float32"}
    logits = mixed(inputs)
    assert logits.dtype == "bfloat16"
    cache = started(mixed, inputs)
    assert {x.dtype for x in tf.nest.flatten(cache["step"])} == {tf.bfloat16}
    expected = logits_of(model, inputs)
    found = ops.convert_to_numpy(ops.cast(logits, "float32"))
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("name", models.ARCHITECTURES)
def test_every_preset_is_found_by_name(name):
    cls = models.ARCHITECTURES[name]
    for preset, config in cls.PRESETS.items():
        assert models.find(f"{name}/{preset}") == (cls, config)
        assert isinstance(config, cls.Config)


def test_a_preset_is_built_with_the_arguments_of_a_model():
    model = models.build("transformer/tiny", dtype="mixed_bfloat16", name="anything")
    assert type(model) is models.ARCHITECTURES["transformer"]
    assert model.config == models.find("transformer/tiny")[1]
    assert (model.name, model.dtype_policy.name) == ("anything", "mixed_bfloat16")


@pytest.mark.parametrize("known", [models.find, models.build, models.num_parameters])
def test_an_unknown_name_lists_the_known_ones(known):
    with pytest.raises(ValueError, match=r"one of \[.*'transformer'.*\], .* name='nothing/base'"):
        known("nothing/base")
    presets = ", ".join(
        f"'transformer/{name}'" for name in models.ARCHITECTURES["transformer"].PRESETS
    )
    for name in ("transformer/nothing", "transformer"):
        with pytest.raises(ValueError, match=rf"one of \[{presets}\]. Received: name='{name}'"):
            known(name)


def test_parameters_are_counted_as_the_built_model_has_them():
    assert models.num_parameters("transformer/tiny") == built_tiny().count_params()


def built_tiny():
    model = models.build("transformer/tiny")
    model.build(None)
    return model


def test_counting_parameters_allocates_nothing_now_or_later(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a weight was allocated")

    for initializer in (keras.initializers.RandomNormal, keras.initializers.GlorotUniform):
        monkeypatch.setattr(initializer, "__call__", refuse)
    monkeypatch.setattr(models, "_count", models._count.__wrapped__)
    assert models.num_parameters("transformer/big") > 2e8
    with keras.StatelessScope():  # where Keras makes up for values it owes
        pass


@pytest.mark.slow
@pytest.mark.parametrize("name", models.ARCHITECTURES)
def test_parameters_are_those_of_the_whole_network(name):
    cls = models.ARCHITECTURES[name]
    for preset, config in cls.PRESETS.items():
        if (count := models.num_parameters(f"{name}/{preset}")) < 1e8:  # 400 MB
            model = cls(config)
            model.build(None)
            assert count == model.count_params(), preset
        else:  # without values, all layers all the same
            assert count == models._count(name, config), preset


def test_the_zoo_is_a_table_with_a_row_for_each_preset():
    rows = models.presets()
    names = {f"{name}/{p}" for name, cls in models.ARCHITECTURES.items() for p in cls.PRESETS}
    assert {row["name"] for row in rows} == names and len(rows) == len(names)
    for row in rows:
        _, config = models.find(row["name"])
        fields = {key: row[key] for key in dataclasses.asdict(config)}
        assert type(config)(**fields) == config
        assert row["parameters"] == models.num_parameters(row["name"])
