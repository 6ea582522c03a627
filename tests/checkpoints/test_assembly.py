import dataclasses
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tflm import checkpoints
from tflm.checkpoints import assembly
from tflm.checkpoints.assembly import assemble, path_of, weight_shapes
from tflm.checkpoints.mapping import match, same
from tflm.checkpoints.tensors import Tensors
from tflm.models.bert import Bert, Config

SMALL = Config(vocab_size=31, hidden_dim=12, ffn_dim=20, num_heads=3, num_layers=2, max_length=11)


class Random(Tensors):
    """Random arrays of given shapes."""

    def __init__(self, shapes):
        super().__init__(shapes)
        random = np.random.default_rng(1)
        self.arrays = {name: random.normal(size=s).astype("float32") for name, s in shapes.items()}

    def __getitem__(self, name):
        return self.arrays[name]


@pytest.fixture
def shapes():
    return weight_shapes(Bert, SMALL)


@pytest.fixture
def stored(shapes):
    return Random(shapes)


def reads_of(stored, shapes):
    return match([same(path, path) for path in shapes], stored, shapes)


def assert_filled(model, stored):
    assert len(model.weights) == len(stored)
    for weight in model.weights:
        np.testing.assert_array_equal(weight, stored.arrays[path_of(model, weight)])


def test_shapes_are_those_of_a_built_model(shapes):
    model = Bert(SMALL)
    model.build(None)
    assert shapes == {path_of(model, weight): tuple(weight.shape) for weight in model.weights}


def test_every_weight_is_what_was_read(shapes, stored):
    model = assemble(Bert, SMALL, reads_of(stored, shapes), name="anything")
    assert model.name == "anything" and model.built
    assert_filled(model, stored)


@pytest.mark.parametrize("size", [1, 100, 1000])
def test_pieces_of_any_size_make_the_same_model(shapes, stored, size, monkeypatch):
    monkeypatch.setattr(assembly, "_PIECE_BYTES", size)
    assert_filled(assemble(Bert, SMALL, reads_of(stored, shapes)), stored)


def test_no_random_weight_is_drawn(shapes, stored, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a random weight was drawn")

    for initializer in (keras.initializers.RandomNormal, keras.initializers.GlorotUniform):
        monkeypatch.setattr(initializer, "__call__", refuse)
    assert_filled(assemble(Bert, SMALL, reads_of(stored, shapes)), stored)


def test_the_model_trains_and_another_one_can_be_built_after_it(shapes, stored):
    model = assemble(Bert, SMALL, reads_of(stored, shapes))
    ids = np.array([[4, 9, 2]], "int32")
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model({"token_ids": ids, "padding_mask": ids > 0})[..., 0])
    gradients = tape.gradient(loss, [w.value for w in model.trainable_weights])
    assert gradients[0] is not None
    other = Bert(dataclasses.replace(SMALL, hidden_dim=9))
    other.build(None)
    assert np.std(other.embedding.embeddings) > 0.01


def test_replicas_get_the_weights_too(shapes, stored):
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        assert_filled(assemble(Bert, SMALL, reads_of(stored, shapes)), stored)


def test_weights_of_half_precision_are_rounded(shapes, stored, monkeypatch):
    monkeypatch.setattr(assembly, "_PIECE_BYTES", 100)
    model = assemble(Bert, SMALL, reads_of(stored, shapes), dtype="bfloat16")
    for weight in model.weights:
        expected = stored.arrays[path_of(model, weight)]
        norm = "norm" in weight.path  # normalisation is computed in float32
        assert weight.dtype == ("float32" if norm else "bfloat16")
        np.testing.assert_allclose(np.asarray(weight, "float32"), expected, rtol=2**-7)


PEAK = """
import sys
from tflm import checkpoints
def kilobytes(what):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(what))
checkpoints.load_model(sys.argv[1])
before = kilobytes("VmRSS")
model = checkpoints.load_model(sys.argv[2])
print(1024 * (kilobytes("VmHWM") - before), 4 * model.count_params())
"""


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="memory is read from /proc")
def test_the_peak_of_memory_is_less_than_1_3_times_the_weights(tmp_path, fixture_directory):
    config = Config(40000, 512, 2048, 8, 10)
    shapes = weight_shapes(Bert, config)
    model = assemble(Bert, config, reads_of(Ones(shapes), shapes))
    out = tmp_path / "large"
    checkpoints.save_pretrained(model, out, format="huggingface", shard_bytes=60_000_000)
    assert len(list(out.glob("*.safetensors"))) > 2
    command = [sys.executable, "-c", PEAK, fixture_directory("bert"), tmp_path / "large"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    peak, size = map(int, done.stdout.split()[-2:])
    assert size > 200e6
    assert 0.9 * size < peak < 1.3 * size, peak / size


class Ones(Tensors):
    """Arrays of ones, each made when it is asked for."""

    def __getitem__(self, name):
        return np.ones(self.shape(name), "float32")
