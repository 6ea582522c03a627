import keras
import numpy as np
import pytest

from tflm import models
from tflm.training.fine_tuning import GradualUnfreezing, LayerwiseAdamW, depths


class Toy(keras.Model):
    """An embedding, two blocks and a normalisation, all of them dense."""

    def __init__(self):
        super().__init__(name="toy")
        names = ("embedding", "block_0", "block_1", "norm")
        self.parts = [keras.layers.Dense(3, name=name) for name in names]

    def build(self, *_):
        for part in self.parts:
            part.build((None, 3))
        self.built = True

    def call(self, x):
        for part in self.parts:
            x = part(x)
        return x


def built(name, **fields):
    cls = models.ARCHITECTURES[name]
    sizes = {"vocab_size": 29, "hidden_dim": 12, **fields}
    model = cls(cls.Config(**sizes))
    model.build(None)
    return model


def by_layer(model):
    """The depth of each layer, by the first part of its name."""
    found = {}
    for path, depth in depths({"": model}).items():
        found.setdefault(path.removeprefix(f"{model.name}/").partition("/")[0], set()).add(depth)
    assert all(len(each) == 1 for each in found.values())
    return {name: each.pop() for name, each in found.items()}


def test_embeddings_are_at_the_bottom_and_the_pooler_on_top():
    model = built("bert", ffn_dim=20, num_heads=3, num_layers=2)
    assert by_layer(model) == {
        "embedding": 0,
        "positions": 0,
        "segment_embedding": 0,
        "embedding_norm": 0,
        "block_0": 1,
        "block_1": 2,
        "pooler": 2,
    }


def test_directions_and_widths_are_side_by_side():
    found = by_layer(built("lstm_encoder", num_layers=2))
    assert found["forward_1"] == found["backward_1"] == 2
    found = by_layer(built("text_cnn"))
    assert {depth for name, depth in found.items()} == {0}


def test_a_decoder_stands_on_its_encoder():
    sizes = {"num_encoder_layers": 2, "num_decoder_layers": 1}
    found = by_layer(built("transformer", ffn_dim=20, num_heads=3, **sizes))
    assert (found["encoder_block_0"], found["encoder_block_1"]) == (1, 2)
    assert found["decoder_block_0"] == 3


def test_a_head_is_above_everything():
    toy, head = Toy(), keras.layers.Dense(2, name="head")
    toy.build(None)
    head.build((None, 3))
    found = depths({"": toy, "head/": head})
    assert {found[weight.path] for weight in head.weights} == {3}
    assert max(found[weight.path] for weight in toy.weights) == 2


def moves(optimizer, toy, callback=None, epoch=0):
    """How far an update moves each layer's kernel, with gradients that are all 1."""
    if callback is not None:
        callback.on_epoch_begin(epoch)
    before = [np.array(part.kernel) for part in toy.parts]
    gradients = [np.ones(weight.shape, "float32") for weight in toy.trainable_variables]
    optimizer.apply(gradients, toy.trainable_variables)
    after = [np.array(part.kernel) for part in toy.parts]
    return [float(np.abs(old - new).mean()) for old, new in zip(before, after, strict=True)]


@pytest.fixture
def toy():
    model = Toy()
    model.build(None)
    return model


def test_each_layer_moves_less_than_the_one_above(toy):
    optimizer = LayerwiseAdamW(0.1, depths({"": toy}), layer_decay=0.5, weight_decay=0.0)
    # Adam's first update is the learning rate whatever the gradient.
    np.testing.assert_allclose(moves(optimizer, toy), [0.025, 0.05, 0.1, 0.1], rtol=1e-4)


def test_without_layers_it_is_adamw(toy):
    other = Toy()
    other.build(None)
    other.set_weights(toy.get_weights())
    theirs = keras.optimizers.AdamW(0.1, weight_decay=0.3)
    theirs.exclude_from_weight_decay(var_names=["bias"])
    ours = LayerwiseAdamW(0.1, depths({"": toy}), layer_decay=1.0, weight_decay=0.3)
    for _ in range(3):
        moves(ours, toy), moves(theirs, other)
    for one, two in zip(toy.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=5e-6)


def test_layers_join_from_the_top(toy):
    optimizer = LayerwiseAdamW(0.1, depths({"": toy}), layer_decay=1.0, weight_decay=0.3)
    unfreezing = GradualUnfreezing(optimizer, epochs_per_layer=2)
    moving = [[move > 0 for move in moves(optimizer, toy, unfreezing, epoch)] for epoch in range(6)]
    top, two, every = [False, False, True, True], [False, True, True, True], [True] * 4
    assert moving == [top, top, two, two, every, every]


def test_a_model_is_fitted_with_both(toy):
    optimizer = LayerwiseAdamW(0.05, depths({"": toy}))
    toy.compile(optimizer, "mse")
    x = np.random.default_rng(0).normal(size=(16, 3)).astype("float32")
    callbacks = [GradualUnfreezing(optimizer)]
    history = toy.fit(x, x, epochs=6, callbacks=callbacks, verbose=0).history["loss"]
    assert history[-1] < history[0]
    assert int(optimizer.lowest.value) == 0


def test_an_optimizer_survives_its_config(toy):
    optimizer = LayerwiseAdamW(0.1, depths({"": toy}), 0.7, 0.2, global_clipnorm=1.0)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(again) is LayerwiseAdamW
    assert again.get_config() == optimizer.get_config()
    assert (again.layer_decay, again.decoupled_decay, again.depths) == (0.7, 0.2, optimizer.depths)


def test_rates_that_grow_downwards_are_refused(toy):
    for decay in (0.0, 1.5):
        with pytest.raises(ValueError, match="`layer_decay` must be above 0 and at most 1"):
            LayerwiseAdamW(0.1, {}, layer_decay=decay)
    with pytest.raises(ValueError, match="`epochs_per_layer` must be at least 1.*=0"):
        GradualUnfreezing(LayerwiseAdamW(0.1, {}), 0)
