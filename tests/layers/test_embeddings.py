import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tflm.layers.embeddings import TokenEmbedding

B, T, D, V = 2, 3, 8, 11
TOKEN_IDS = np.array([[4, 0, 10], [7, 4, 1]], "int32")


@pytest.fixture
def layer(randomize):
    layer = TokenEmbedding(V, D)
    layer.build(None)
    return randomize(layer)


def table_of(layer):
    return ops.convert_to_numpy(layer.embeddings)


def test_vectors_are_rows_times_the_root_of_the_width(layer):
    expected = table_of(layer)[TOKEN_IDS] * np.sqrt(D)
    np.testing.assert_allclose(layer(TOKEN_IDS), expected, rtol=1e-6)


def test_logits_are_products_with_the_same_rows_unscaled(layer):
    x = np.random.default_rng(0).normal(size=(B, T, D)).astype("float32")
    np.testing.assert_allclose(layer.logits(x), x @ table_of(layer).T, rtol=1e-5, atol=1e-5)


def test_unscaled_vectors_are_the_rows(randomize):
    layer = TokenEmbedding(V, D, scaled=False)
    layer.build(None)
    randomize(layer)
    np.testing.assert_array_equal(layer(TOKEN_IDS), table_of(layer)[TOKEN_IDS])


def test_a_bias_is_added_to_the_logits(layer):
    x = np.random.default_rng(0).normal(size=(B, T, D)).astype("float32")
    bias = np.arange(V, dtype="float32")
    expected = x @ table_of(layer).T + bias
    found = layer.logits(x, layer.output_weights(), bias)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bias", [None, np.arange(V, dtype="float32")])
def test_blocks_of_output_weights_give_the_same_logits(layer, bias):
    x = np.random.default_rng(0).normal(size=(B, T, D)).astype("float32")
    blocks = ops.split(layer.output_weights(), [4, 5], axis=-1)
    assert [block.shape for block in blocks] == [(D, 4), (D, 1), (D, V - 5)]
    found = layer.logits(x, blocks, bias)
    expected = layer.logits(x, layer.output_weights(), bias)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_a_product_and_its_bias_are_what_tensorflow_fuses(layer):
    @tf.function(autograph=False)
    def logits(x):
        return layer.logits(x, layer.output_weights(), tf.ones([V]))

    graph = logits.get_concrete_function(tf.TensorSpec([None, 1, D])).graph
    (add,) = [op for op in graph.get_operations() if op.type == "BiasAdd"]
    assert add.inputs[0].op.type == "MatMul"


def test_fresh_vectors_and_logits_have_unit_scale():
    layer = TokenEmbedding(500, 16)
    vectors = ops.convert_to_numpy(layer(np.arange(500)[None]))
    assert vectors.std() == pytest.approx(1.0, abs=0.05)
    x = np.random.default_rng(0).normal(size=(1, 50, 16)).astype("float32")
    assert ops.convert_to_numpy(layer.logits(x)).std() == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(
    "options, expected", [({"scaled": False}, 0.02), ({"scaled": False, "stddev": 0.7}, 0.7)]
)
def test_unscaled_vectors_start_as_wide_as_asked(options, expected):
    layer = TokenEmbedding(500, 16, **options)
    vectors = ops.convert_to_numpy(layer(np.arange(500)[None]))
    assert vectors.std() == pytest.approx(expected, rel=0.05)


def test_one_weight_learns_from_both_uses(layer):
    with tf.GradientTape(persistent=True) as tape:
        vectors = layer(TOKEN_IDS)
        logits = layer.logits(tf.ones((B, T, D)))
    (weight,) = layer.trainable_variables
    looked_up = np.abs(tf.convert_to_tensor(tape.gradient(vectors, weight.value))).sum(-1)
    scored = np.abs(tf.convert_to_tensor(tape.gradient(logits, weight.value))).sum(-1)
    assert np.flatnonzero(looked_up).tolist() == [0, 1, 4, 7, 10]
    assert np.flatnonzero(scored).tolist() == list(range(V))


def test_it_computes_in_the_policys_dtype(assert_mixed):
    layer = TokenEmbedding(V, D, dtype="mixed_bfloat16")
    vectors = layer(TOKEN_IDS)
    assert vectors.dtype == "bfloat16"
    assert layer.logits(vectors).dtype == "bfloat16"
    assert layer.logits(tf.ones((B, T, D))).dtype == "bfloat16"
    assert_mixed(layer)


def test_logits_keep_sizes_that_only_the_running_graph_knows(layer):
    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32)])
    def traced(token_ids):
        return layer.logits(layer(token_ids))

    found = traced(tf.constant(TOKEN_IDS))
    assert found.shape == (B, T, V)
    np.testing.assert_allclose(found, layer.logits(layer(TOKEN_IDS)), rtol=1e-5, atol=1e-5)


def test_it_survives_a_round_trip(assert_round_trip):
    assert_round_trip(TokenEmbedding, vocab_size=13, dim=6, scaled=False, stddev=0.3)
