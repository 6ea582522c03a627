import keras
import numpy as np
import pytest

from tflm.training.fine_tuning import LayerwiseAdamW, depths
from tflm.training.optimizers import averaged, cosine_adamw


def test_the_rate_rises_and_falls_to_a_share_of_its_peak():
    rate = cosine_adamw(2e-3, 10, 110, final=0.25)._learning_rate
    expected = {0: 0.0, 5: 1e-3, 10: 2e-3, 60: 2e-3 * (0.25 + 0.75 / 2), 110: 5e-4, 300: 5e-4}
    for step, value in expected.items():
        assert float(rate(step)) == pytest.approx(value, rel=1e-5, abs=1e-9)


def test_settings_reach_the_optimizer():
    config = cosine_adamw(1e-3, 1, 9, weight_decay=0.3, beta_2=0.9, ema=0.8).get_config()
    names = ("weight_decay", "beta_2", "use_ema", "ema_momentum", "global_clipnorm")
    assert [config[name] for name in names] == [0.3, 0.9, True, 0.8, 1.0]
    assert not cosine_adamw(1e-3, 1, 9).use_ema


@pytest.mark.parametrize("name", ["kernel", "bias", "scale", "offset"])
def test_biases_and_normalisation_are_not_decayed(name):
    weight = keras.Variable(np.ones(3, "float32"), name=name)
    optimizer = cosine_adamw(0.1, 0, 10, weight_decay=0.5)
    optimizer.apply([np.zeros(3, "float32")], [weight])
    expected = 1.0 - 0.1 * 0.5 if name == "kernel" else 1.0
    np.testing.assert_allclose(weight, expected, rtol=1e-6)


def test_with_depths_lower_layers_learn_more_slowly():
    optimizer = cosine_adamw(1e-3, 1, 9, depths={"a": 0, "b": 1}, layer_decay=0.7)
    assert isinstance(optimizer, LayerwiseAdamW)
    assert (optimizer.layer_decay, optimizer.top) == (0.7, 1)


def updated(gradients, accumulate=1, **options):
    """The weights after each of some gradients, and the optimizer."""
    weights = [keras.Variable(np.full((2, 3), 0.5), name="kernel") for _ in range(2)]
    if "layer_decay" in options:
        options["depths"] = {weight.path: depth for depth, weight in enumerate(weights)}
    optimizer = cosine_adamw(0.1, 3, 6, accumulate=accumulate, **options)
    found = []
    for each in gradients:
        optimizer.apply([each, 3.0 * each], weights)
        found.append(np.stack([np.array(weight) for weight in weights]))
    return np.stack(found), optimizer


@pytest.mark.parametrize("options", [{}, {"layer_decay": 0.6}])
def test_an_update_of_several_batches_is_one_of_their_mean(options):
    gradients = np.random.default_rng(2).normal(size=(6, 4, 2, 3)).astype("float32")
    expected, _ = updated(gradients.mean(axis=1), **options)
    found, optimizer = updated(gradients.reshape(-1, 2, 3), accumulate=4, **options)
    assert int(optimizer.iterations) == 6
    # Rates that rise and fall count updates; nothing moves in between.
    np.testing.assert_allclose(found[3::4], expected, atol=1e-5)
    np.testing.assert_array_equal(found[4::4], found[3:-1:4])


def test_the_average_of_the_weights_forgets_as_much_with_an_update_of_several_batches():
    momentum = averaged(1e-3, ema=0.9, accumulate=4)["ema_momentum"]
    assert momentum**4 == pytest.approx(0.9)
    gradients = np.random.default_rng(2).normal(size=(6, 4, 2, 3)).astype("float32")
    _, one = updated(gradients.mean(axis=1), ema=0.9)
    _, several = updated(gradients.reshape(-1, 2, 3), accumulate=4, ema=0.9)
    for ours, theirs in zip(
        *(each._model_variables_moving_average for each in (one, several)), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=0.03)


class Lookup(keras.Model):
    """An embedding, whose gradients are sparse, and a dense layer on it."""

    def __init__(self):
        super().__init__(name="lookup")
        # Keras numbers the names that it makes, and a number in a name is a depth.
        self.embedding = keras.layers.Embedding(7, 3, name="embedding")
        self.dense = keras.layers.Dense(2, name="dense")

    def build(self, *_):
        self.embedding.build((None, 5))
        self.dense.build((None, 5, 3))

    def call(self, x):
        return self.dense(self.embedding(x))


def test_a_model_is_fitted_on_several_batches_as_on_one():
    random = np.random.default_rng(2)
    # Of gradients that need no clipping: TensorFlow's norm of sparse ones takes an id that occurs
    # twice for two.
    x, y = random.integers(0, 7, (24, 5)), 0.1 * random.normal(size=(24, 5, 2))
    found = []
    for batch_size, accumulate in ((8, 1), (2, 4)):
        keras.utils.set_random_seed(5)
        model = Lookup()
        model.build(None)
        optimizer = cosine_adamw(
            0.05, 1, 6, depths=depths({"": model}), layer_decay=0.7, accumulate=accumulate
        )
        model.compile(optimizer, "mse", run_eagerly=accumulate == 1)
        model.fit(x, y, batch_size=batch_size, shuffle=False, verbose=0)
        found.append(model.get_weights())
    for one, several in zip(*found, strict=True):
        np.testing.assert_allclose(one, several, atol=1e-5)


def test_less_than_a_batch_to_an_update_is_refused():
    with pytest.raises(ValueError, match="`accumulate` must be at least 1. Received: accumulate=0"):
        averaged(1e-3, accumulate=0)
