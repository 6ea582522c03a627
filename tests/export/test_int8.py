import keras
import numpy as np
import pytest
import tensorflow as tf

from tflm import models
from tflm.export import save
from tflm.export.check import check
from tflm.export.int8 import Int8Weights, num_bytes, rounded
from tflm.export.saved_model_file import read
from tflm.export.session import Session

VOCABULARY = 17


class Scorer(tf.Module):
    """A sum of products through a loop: weights are read outside of it and inside."""

    def __init__(self):
        super().__init__()
        embed = keras.layers.Embedding(VOCABULARY, 24, embeddings_initializer="normal")
        dense = keras.layers.Dense(9, bias_initializer="normal")
        embed.build(None)
        dense.build((None, 24))
        self.layers = lambda: (embed, dense)  # a tracked layer would be saved with its weights
        self._variables = [weight.value for weight in self.weights()]

    def weights(self):
        return [weight for layer in self.layers() for weight in layer.weights]

    def call(self, ids):
        embed, dense = self.layers()
        x = embed(ids)

        def step(i, total):
            return i + 1, total + dense(x[:, i])

        start = (0, tf.zeros([tf.shape(ids)[0], 9]))
        return tf.while_loop(lambda i, _: i < tf.shape(ids)[1], step, start)[1]

    def signatures(self, lay_out=True):
        assert not lay_out
        spec = tf.TensorSpec([None, None], tf.int32, name="ids")

        @tf.function(input_signature=[spec], autograph=False)
        def serving_default(ids):
            return {"scores": self.call(ids)}

        return {"serving_default": serving_default}


@pytest.fixture
def module():
    return Scorer()


def test_a_number_is_at_most_half_a_step_away():
    weight = np.random.default_rng(3).normal(size=(40, 6)).astype("float32") * np.arange(1, 7)
    whole, scale = rounded(weight, "dense/kernel")
    assert whole.dtype == np.int8 and scale.shape == (1, 6)
    assert np.abs(whole).max(axis=0).tolist() == [127] * 6
    assert (np.abs(whole * scale - weight) <= scale * 0.5001).all()


def test_an_embedding_has_a_scale_for_each_row():
    weight = np.diag([1.0, 0.0, 300.0])
    whole, scale = rounded(weight, "tokens/embeddings")
    assert scale.shape == (3, 1)
    np.testing.assert_allclose(whole * scale, weight, rtol=1e-6)


def test_a_kernel_of_three_axes_has_a_scale_for_each_channel():
    assert rounded(np.ones((5, 4, 3)), "conv/kernel")[1].shape == (1, 1, 3)


def test_a_weight_must_be_finite():
    with pytest.raises(ValueError, match="`weights` must be finite .* Received: d/kernel with inf"):
        rounded(np.array([[1.0, np.nan]]), "d/kernel")


def test_the_graph_computes_what_the_rounded_network_computes(module, tmp_path):
    ids = np.array([[1, 5, 16], [0, 0, 2]], np.int32)
    exact = module.call(ids).numpy()
    int8 = Int8Weights(module.weights())
    int8.round()
    expected = module.call(ids).numpy()
    assert not np.array_equal(expected, exact)
    np.testing.assert_allclose(expected, exact, atol=0.05 * np.abs(exact).max())
    path = save(module, int8.serve(module), tmp_path / "scorer", warmup=())
    model = read(path)
    answered = Session(model).run("", {"ids": ids})["scores"]
    np.testing.assert_allclose(answered, expected, rtol=1e-5, atol=1e-6)
    failures = [each for each in check(path, run=False) if each.status == "failure"]
    assert failures == []
    held = tf.train.load_checkpoint(str(path / "variables" / "variables"))
    sizes = [
        np.prod(shape) * held.get_variable_to_dtype_map()[name].size
        for name, shape in held.get_variable_to_shape_map().items()
        if "VARIABLE_VALUE" in name
    ]
    assert sum(sizes) == int8.num_bytes


def test_a_transformer_needs_about_a_quarter_of_the_bytes():
    cls, config = models.find("transformer/tiny")
    network = cls(config)
    network.build(None)
    float32 = sum(map(num_bytes, network.weights))
    assert 0.25 < Int8Weights(network.weights).num_bytes / float32 < 0.35
