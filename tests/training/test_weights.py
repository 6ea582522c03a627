import keras
import numpy as np
import pytest

from tflm import models
from tflm.training.files import load_tensors, save_tensors
from tflm.training.weights import (
    average_weights,
    load_weights,
    moving_average,
    save_weights,
    set_weights,
    weights_of,
)


def built(**arguments):
    config = models.ARCHITECTURES["transformer"].Config(
        vocab_size=29, hidden_dim=12, ffn_dim=20, num_heads=3, num_encoder_layers=2, dropout=0.2
    )
    model = models.ARCHITECTURES["transformer"](config, **arguments)
    model.build(None)
    return model


class Scale(keras.layers.Layer):
    """A layer whose weight is a scalar."""

    def build(self, *_):
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


def test_names_are_those_of_every_other_model_of_the_config():
    first, second, third = built(), built(), built(name="anything")
    names = weights_of(first).keys()
    assert list(names) == list(weights_of(second)) == list(weights_of(third))
    assert len(names) == len(first.weights)
    assert {"embedding/embeddings", "encoder_block_1/attention/query_key_value/kernel"} <= names
    assert not [name for name in names if "seed" in name]


def test_weights_go_through_a_file_into_another_model(tmp_path):
    model, other = built(), built()
    save_weights(model, tmp_path / "w.safetensors")
    assert np.any(weights_of(model)["embedding/embeddings"] != other.get_weights()[0])
    load_weights(other, tmp_path / "w.safetensors")
    assert_same(weights_of(model), weights_of(other))
    assert_same(weights_of(model), load_tensors(tmp_path / "w.safetensors")[0])


def test_a_scalar_weight_goes_through_a_file(tmp_path):
    layer, other = Scale(), Scale()
    layer.build()
    other.build()
    layer.scale.assign(2.5)
    save_weights(layer, tmp_path / "w.safetensors")
    load_weights(other, tmp_path / "w.safetensors")
    assert float(other.scale) == 2.5
    other.scale.assign(0.0)
    set_weights(other, weights_of(layer))
    assert float(other.scale) == 2.5


def test_every_disagreement_is_in_one_message():
    model = built()
    before = weights_of(model)
    weights = {name: array + 1.0 for name, array in before.items()}
    weights["extra/kernel"] = np.zeros((2, 3), "float32")
    weights["more"] = np.zeros((), "float32")
    del (
        weights["encoder_block_0/attention_norm/scale"],
        weights["decoder_block_5/attention/out/bias"],
    )
    weights["embedding/embeddings"] = np.zeros((29, 13), "float32")
    with pytest.raises(ValueError, match="`weights` must match the model's weights") as error:
        set_weights(model, weights)
    assert str(error.value).splitlines()[1:] == [
        "  missing  decoder_block_5/attention/out/bias (12,)",
        "  missing  encoder_block_0/attention_norm/scale (12,)",
        "  surplus  extra/kernel (2, 3)",
        "  surplus  more ()",
        "  shape    embedding/embeddings (29, 12), received (29, 13)",
    ]
    assert_same(weights_of(model), before)


def test_a_file_of_another_network_is_refused(tmp_path):
    save_tensors(tmp_path / "w.safetensors", {"kernel": np.zeros((2, 3), "float32")})
    with pytest.raises(ValueError, match="surplus  kernel"):
        load_weights(built(), tmp_path / "w.safetensors")


def written(directory, *weights):
    paths = [directory / f"{i}.safetensors" for i in range(len(weights))]
    for path, tensors in zip(paths, weights, strict=True):
        save_tensors(path, tensors)
    return paths


def test_the_average_is_the_mean_in_the_files_dtype(tmp_path):
    random = np.random.default_rng(0)
    files = [
        {
            "kernel": random.normal(size=(4, 5)).astype("float32"),
            "half": random.normal(size=3).astype("float16"),
        }
        for _ in range(3)
    ]
    found = average_weights(path for path in written(tmp_path, *files))
    assert found.keys() == {"kernel", "half"}
    for name, array in found.items():
        assert array.dtype == files[0][name].dtype
        expected = np.mean([file[name].astype("float64") for file in files], axis=0)
        np.testing.assert_array_equal(array, expected.astype(array.dtype))


def test_the_average_of_one_file_is_that_file(tmp_path):
    weights = {"kernel": np.random.default_rng(0).normal(size=(4, 5)).astype("float32")}
    assert_same(average_weights(written(tmp_path, weights)), weights)


def test_there_is_no_average_of_nothing():
    with pytest.raises(ValueError, match="`paths` must name at least one file. Received: paths="):
        average_weights([])


@pytest.mark.parametrize(
    "other", [{"kernel": (3, 5)}, {"kernel": (3, 4), "bias": (4,)}, {"bias": (3, 4)}], ids=str
)
def test_only_files_of_the_same_weights_have_an_average(tmp_path, other):
    first = {"kernel": np.zeros((3, 4), "float32")}
    second = {name: np.zeros(shape, "float32") for name, shape in other.items()}
    wrong = r"1\.safetensors differs in \['(bias|kernel)'"
    with pytest.raises(ValueError, match=f"the same weights in every file. Received: .*{wrong}"):
        average_weights(written(tmp_path, first, second))


def compiled(**options):
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3)])
    model.compile(keras.optimizers.SGD(0.1, **options), "mse", jit_compile=False)
    return model


def trained(model, updates):
    """The kernel after each of some updates."""
    random = np.random.default_rng(0)
    kernels = []
    for _ in range(updates):
        model.train_on_batch(random.normal(size=(4, 5)), random.normal(size=(4, 3)))
        kernels.append(model.get_weights()[0])
    return kernels


def test_within_the_block_a_model_has_its_moving_average():
    model = compiled(use_ema=True, ema_momentum=0.75)
    kernels = trained(model, 3)
    average = kernels[0]
    for kernel in kernels[1:]:
        average = 0.75 * average + 0.25 * kernel
    with moving_average(model):
        np.testing.assert_allclose(model.get_weights()[0], average, atol=1e-6)
    np.testing.assert_array_equal(model.get_weights()[0], kernels[-1])
    with pytest.raises(RuntimeError, match="within"), moving_average(model):
        raise RuntimeError("within")
    np.testing.assert_array_equal(model.get_weights()[0], kernels[-1])


def test_without_a_moving_average_the_block_changes_nothing():
    model = compiled()
    kernel = model.get_weights()[0]
    with moving_average(model):
        np.testing.assert_array_equal(model.get_weights()[0], kernel)
