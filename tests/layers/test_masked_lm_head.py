import numpy as np
from keras import ops

from tflm.layers.embeddings import TokenEmbedding
from tflm.layers.masked_lm_head import MaskedLMHead

B, M, D, E, V = 2, 3, 6, 4, 11


def made(randomize, **kwargs):
    embedding = TokenEmbedding(V, E, scaled=False, **kwargs)
    embedding.build()
    head = MaskedLMHead(D, E, V, "relu", 1e-3, **kwargs)
    head.build()
    return randomize(head), randomize(embedding, seed=8)


def test_the_logits_are_those_of_a_few_lines_of_numpy(randomize):
    head, embedding = made(randomize)
    x = np.random.default_rng(0).normal(size=(B, M, D)).astype("float32")
    kernel, dense_bias, scale, offset, bias = (
        np.array(weight)
        for weight in (*head.dense.weights, head.norm.scale, head.norm.offset, head.bias)
    )
    wide = np.maximum(x @ kernel + dense_bias, 0.0)  # (B, M, E)
    centred = wide - wide.mean(-1, keepdims=True)
    normal = centred / np.sqrt(np.square(centred).mean(-1, keepdims=True) + 1e-3)
    expected = (normal * scale + offset) @ np.array(embedding.embeddings).T + bias
    np.testing.assert_allclose(head(x, embedding=embedding), expected, rtol=1e-4, atol=1e-4)


def test_it_learns_the_output_weights_of_the_embedding(randomize):
    import tensorflow as tf

    head, embedding = made(randomize)
    with tf.GradientTape() as tape:
        loss = ops.sum(ops.square(head(ops.ones((B, M, D)), embedding=embedding)))
    weights = [*head.trainable_variables, *embedding.trainable_variables]
    gradients = tape.gradient(loss, [weight.value for weight in weights])
    assert len(gradients) == 6
    assert all(np.abs(ops.convert_to_numpy(gradient)).max() > 0 for gradient in gradients)


def test_it_computes_in_the_dtype_of_its_policy(randomize, assert_mixed):
    head, embedding = made(randomize, dtype="mixed_bfloat16")
    assert head(ops.ones((B, M, D)), embedding=embedding).dtype == "bfloat16"
    assert_mixed(head)


def test_every_argument_survives_a_round_trip(assert_round_trip):
    assert_round_trip(
        MaskedLMHead,
        hidden_dim=D,
        embedding_dim=E,
        vocab_size=V,
        activation="gelu_tanh",
        norm_epsilon=1e-5,
    )
