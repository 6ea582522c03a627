import dataclasses
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tflm import models
from tflm.layers import SelfAttention, SpanHead
from tflm.tasks.int8_products import _MOST_WEIGHT, Int8Products, _Matrix

VOCABULARY = 290


@pytest.fixture(scope="module")
def matrix():
    random = np.random.default_rng(2)
    weight = random.normal(size=(70, 66)).astype("float32") * np.arange(1, 67)
    scale = np.abs(weight).max(axis=0) / np.float32(_MOST_WEIGHT)
    return _Matrix(np.rint(weight / scale).astype("int8"), scale), weight


def multiplied(matrix, x):
    return matrix.multiply(tf.constant(x, tf.float32)).numpy()


def test_a_product_is_that_of_rounded_vectors_and_rounded_columns(matrix):
    x = np.random.default_rng(3).normal(size=(5, 70)).astype("float32") * [
        [1],
        [9],
        [0.1],
        [2],
        [3],
    ]
    factor = np.abs(x).max(axis=1, keepdims=True) / 127
    whole, scale = matrix[0].whole.numpy(), matrix[0]._most / 127
    expected = (np.rint(x / factor) @ whole.astype("float32")) * factor * scale
    found = multiplied(matrix[0], x)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4 * np.abs(expected).max())
    error = np.linalg.norm(found - x @ matrix[1]) / np.linalg.norm(x @ matrix[1])
    assert 0.0 < error < 0.02


def test_a_vector_is_multiplied_as_if_it_were_alone(matrix):
    x = np.random.default_rng(4).normal(size=(6, 70)).astype("float32")
    x[2] *= 1e4
    together = multiplied(matrix[0], x)
    for row in range(6):
        np.testing.assert_array_equal(multiplied(matrix[0], x[row : row + 1])[0], together[row])


def test_no_vectors_and_vectors_of_zeros_are_multiplied_too(matrix):
    assert multiplied(matrix[0], np.zeros((0, 70))).shape == (0, 66)
    np.testing.assert_array_equal(multiplied(matrix[0], np.zeros((3, 70))), np.zeros((3, 66)))


_WORST_CASE = """
import keras
import numpy as np
from tflm.tasks.int8_products import Int8Products
layer = keras.layers.Dense(65, use_bias=False)
layer.build((None, 512))
layer.set_weights([np.linspace(0.9, 1.0, 512 * 65, dtype="float32").reshape(512, 65)])
x = np.linspace(0.8, 1.0, 3 * 512, dtype="float32").reshape(3, 512)
expected = x @ layer.get_weights()[0]
Int8Products([layer])
print(np.abs(np.array(layer(x)) / expected - 1.0).max())
"""


@pytest.mark.parametrize("instructions", ["AVX2", "ALL"])
def test_no_processor_overflows(instructions):
    # One without eight-bit dot products adds two products in sixteen bits, the largest here.
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": instructions}
    command = [sys.executable, "-c", _WORST_CASE]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert float(found.stdout) < 0.01


SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_dim": 64,
    "embedding_dim": 64,
    "ffn_dim": 96,
    "num_heads": 2,
    "num_kv_heads": 1,
    "head_dim": 32,
}


def small(name):
    """A config of an architecture: 64 wide, each stack of one layer."""
    cls, config = models.find(f"{name}/{next(iter(models.ARCHITECTURES[name].PRESETS))}")
    fields = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    changes = {
        key: SIZES[key] for key, value in fields.items() if key in SIZES and value is not None
    }
    if name == "text_cnn":  # each of its three widths has its share of the filters
        changes["hidden_dim"] = 192
    layers = {key: 1 for key in fields if key.startswith("num_") and key.endswith("layers")}
    return cls, dataclasses.replace(config, **changes, **layers)


def networks(name):
    """The same network twice."""
    cls, config = small(name)
    exact, served = cls(config), cls(config)
    random = np.random.default_rng(5)
    for network in (exact, served):
        network.build(None)
    for weight, other in zip(exact.weights, served.weights, strict=True):
        if weight.path.endswith("bias"):
            weight.assign(random.normal(0.0, 0.1, weight.shape))
        other.assign(weight)
    return exact, served


def outputs_of(network):
    """What it says of a target read in two parts, or of a text."""
    random = np.random.default_rng(6)
    source = random.integers(1, VOCABULARY, (3, 7))
    source[1, 4:] = 0
    target = tf.constant(random.integers(1, VOCABULARY, (3, 5)), tf.int32)

    @tf.function(autograph=False)
    def run(source):
        mask = source > 0
        if isinstance(network, models.base.Encoder):
            return network({"token_ids": source, "padding_mask": mask}, training=False)
        if isinstance(network, models.EncoderDecoder):
            memory = network.encode(source, mask, training=False)
            cache = network.start(memory, mask, token_ids=source)
        else:
            cache = network.start(tf.ones([3, 3], tf.bool))
        first, cache = network.decode(target[:, :3], cache, 0)
        return tf.concat([first[:, -1:], network.decode(target[:, 3:], cache, 3)[0]], axis=1)

    return tf.cast(run(tf.constant(source, tf.int32)), tf.float32).numpy()


@pytest.mark.parametrize(
    "name",
    [
        name if name in ("transformer", "t5") else pytest.param(name, marks=pytest.mark.slow)
        for name in models.ARCHITECTURES
    ],
)
def test_a_network_answers_almost_as_in_float32(name):
    exact, served = networks(name)
    expected = outputs_of(exact)
    products = Int8Products([served])
    found = outputs_of(served)
    assert 0.0 < np.abs(found - expected).max() < 0.08 * np.abs(expected).max()
    numbers = sum(np.prod(weight.shape) for weight in exact.weights)
    assert numbers < products.num_bytes <= 4 * numbers


def test_small_matrices_stay_as_they_are():
    head = SpanHead(96)
    head.build(None)
    products = Int8Products([head])
    assert products.num_bytes == sum(4 * np.prod(weight.shape) for weight in head.weights)


def test_attention_keeps_its_keys_and_values_in_bfloat16():
    attention = SelfAttention(64, 2)
    x = tf.random.stateless_normal((3, 5, 64), [1, 2])
    expected, cache = attention(x)
    assert cache["key"].dtype == tf.float32
    Int8Products([attention])
    found, cache = attention(x)
    assert cache["key"].dtype == cache["value"].dtype == tf.bfloat16
    assert attention.empty_cache(3)["key"].dtype == tf.bfloat16
    assert found.dtype == tf.float32
    assert 0.0 < np.abs(found - expected).max() < 0.05 * np.abs(expected).max()


def test_a_block_reads_its_cache_as_it_is():
    _, served = networks("transformer")
    Int8Products([served])
    memory = tf.TensorSpec([None, None, 64])
    start = tf.function(lambda m: served.start(m, m[..., 0] > 0), autograph=False)
    cache = start.get_concrete_function(memory).structured_outputs
    specs = tf.nest.map_structure(lambda t: tf.TensorSpec(t.shape, t.dtype), dict(cache))
    step = tf.function(lambda ids, c: served.decode(ids, c, 0)[0], autograph=False)
    graph = step.get_concrete_function(tf.TensorSpec([None, 1], tf.int32), specs).graph
    kinds = [op.outputs[0].dtype for op in graph.get_operations() if op.type == "BatchMatMulV2"]
    assert kinds == [tf.bfloat16] * 4


def test_small_attention_stays_in_float32():
    attention = SelfAttention(24, 2)
    attention.build()
    Int8Products([attention])
    _, cache = attention(tf.ones((2, 3, 24)))
    assert cache["key"].dtype == tf.float32


def test_a_weight_must_be_finite():
    layer = keras.layers.Dense(64)
    layer.build((None, 64))
    layer.kernel.assign(np.full((64, 64), np.nan))
    with pytest.raises(ValueError, match="`weights` must be finite for int8. Received: .*kernel"):
        Int8Products([layer])
