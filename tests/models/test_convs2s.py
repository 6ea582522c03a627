import math

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tflm import models
from tflm.models.convs2s import Config, ConvS2S, layer_sizes

SIZES = {
    "vocab_size": 29,
    "embedding_dim": 10,
    "encoder_layers": "1x12x3 2x14x1",
    "decoder_layers": "1x12x3 2x14x2 1x14x1",
}
CONTRACT = [
    {**SIZES, "target_vocab_size": 23, "max_length": 17, "dropout": 0.2, "tie_output": True},
    {**SIZES, "encoder_layers": "2x10x5", "decoder_layers": "2x12x3"},
]
B, S, T, E = 2, 6, 5, 10
MASK = np.array([[True] * 6, [True] * 4 + [False] * 2])
HALF = math.sqrt(0.5)


def built(**fields):
    model = ConvS2S(Config(**{**SIZES, "max_length": 17, **fields}))
    model.build()
    random = np.random.default_rng(5)
    for weight in model.weights:
        weight.assign(random.normal(0.05, 0.35, weight.shape))
    return model


def batch():
    random = np.random.default_rng(0)
    return {
        "encoder_token_ids": random.integers(4, 29, (B, S), "int32"),
        "encoder_padding_mask": MASK,
        "decoder_token_ids": random.integers(4, 29, (B, T), "int32"),
    }


class Paper:
    """The forward pass of one sentence in float64, from the paper's equations."""

    def __init__(self, model):
        self.weights = {
            weight.path.split("/", 1)[1]: ops.convert_to_numpy(weight).astype("float64")
            for weight in model.weights
        }

    def dense(self, x, name):
        direction, length, bias = (
            self.weights[f"{name}/{part}"] for part in ("direction", "length", "bias")
        )
        return x @ (direction * length / np.linalg.norm(direction, axis=0)) + bias

    def embed(self, token_ids, side, name):
        words = self.weights[f"{name}/embeddings"][token_ids]
        return words + self.weights[f"{side}_positions/embeddings"][: len(token_ids)]

    def convolve(self, x, width, left, name):
        padded = np.pad(x, ((left, width - 1 - left), (0, 0)))
        windows = np.stack([padded[t : t + width].ravel() for t in range(len(x))])
        a, b = np.split(self.dense(windows, f"{name}/convolution/dense"), 2, axis=1)
        return a / (1 + np.exp(-b))

    def shortcut(self, x, units, name):
        return x if x.shape[1] == units else self.dense(x, f"{name}/shortcut")

    def logits(self, source, target, encoder, decoder):
        e = self.embed(source, "encoder", "embedding")
        x = self.dense(e, "encoder_in")
        for i, (units, width) in enumerate(encoder):
            name = f"encoder_block_{i}"
            h = self.convolve(x, width, width // 2, name)
            x = (h + self.shortcut(x, units, name)) * HALF
        z = self.dense(x, "encoder_out")
        g = self.embed(target, "decoder", "embedding")
        x = self.dense(g, "decoder_in")
        for i, (units, width) in enumerate(decoder):
            name = f"decoder_block_{i}"
            h = self.convolve(x, width, width - 1, name)
            d = (self.dense(h, f"{name}/query") + g) * HALF
            weights = np.exp(d @ z.T)
            weights = weights / weights.sum(1, keepdims=True)
            c = weights @ ((z + e) * HALF) * math.sqrt(len(source))
            h = (self.dense(c, f"{name}/context") + h) * HALF
            x = (h + self.shortcut(x, units, name)) * HALF
        x = self.dense(x, "decoder_out")
        return x @ self.weights["output_embedding/embeddings"].T


def test_the_whole_network_is_the_papers():
    model, inputs = built(), batch()
    found = np.array(model(inputs))
    sizes = [layer_sizes(SIZES[f"{side}_layers"]) for side in ("encoder", "decoder")]
    for row in range(B):
        source = inputs["encoder_token_ids"][row][MASK[row]]
        expected = Paper(model).logits(source, inputs["decoder_token_ids"][row], *sizes)
        np.testing.assert_allclose(found[row], expected, rtol=1e-4, atol=1e-4)


def test_windows_are_as_wide_as_the_kernels_reach_back():
    model, inputs = built(), batch()
    memory = model.encode(inputs["encoder_token_ids"], MASK)
    windows = model.start(memory, MASK)["step"]
    assert [tuple(x.shape) for x in windows] == [(B, 2, 12), (B, 1, 12), (B, 1, 14), (B, 0, 14)]
    assert not any(np.any(x) for x in windows)


def test_the_encoders_gradient_is_shared_out_among_the_attentions():
    model, inputs = built(), batch()
    with tf.GradientTape() as tape:
        z = model.encode(inputs["encoder_token_ids"], MASK)[..., :E]
        loss = tf.reduce_sum(z**2)
    (found,) = tape.gradient(loss, [model.encoder_out.bias.value])
    np.testing.assert_allclose(found, 2 * np.sum(z, (0, 1)) / (2 * 4), rtol=1e-4)


def test_fresh_activations_keep_their_scale_through_twenty_layers():
    model = ConvS2S(
        Config(
            vocab_size=300,
            embedding_dim=64,
            encoder_layers="20x64x3",
            decoder_layers="20x64x3",
            dropout=0.0,
        )
    )
    model.build()
    ids = np.random.default_rng(0).integers(4, 300, (4, 30), "int32")
    everything = np.ones((4, 30), bool)
    words = model.embedding(ids)
    memory = model.encode(ids, everything)
    assert 0.3 < np.std(memory[..., :64]) / np.std(words) < 3.0
    last = model.decode(ids, {**model.start(memory, everything), "step": None})[0]
    table = np.array(model.output_embedding.embeddings)
    hidden = np.array(last) @ np.linalg.pinv(table.T)
    assert 0.3 < np.std(hidden) / np.std(words) < 3.0


def test_positions_bound_what_may_be_written():
    model, inputs = built(), batch()
    memory = model.encode(inputs["encoder_token_ids"], MASK)
    assert model.start(memory, MASK, 17).keys() >= {"step", "memory"}
    with pytest.raises(
        ValueError, match="`max_length` must be at most the config's 17. Received: max_length=18"
    ):
        model.start(memory, MASK, 18)


def test_layers_are_read_from_the_first_to_the_last():
    assert layer_sizes("2x512x3 1x1024x1") == [(512, 3), (512, 3), (1024, 1)]


@pytest.mark.parametrize("text", ["", "512x3", "2x512x0", "2*512*3", "2x512x3,"])
def test_layers_that_cannot_be_read_are_refused(text):
    with pytest.raises(ValueError, match="Layers must be written as .* Received: "):
        Config(decoder_layers=text)


def test_the_encoders_kernels_must_have_a_middle():
    with pytest.raises(ValueError, match="odd kernel widths, .* Received: 512x4 in"):
        Config(encoder_layers="3x512x4")


def test_presets_have_the_sizes_of_the_paper():
    def dense(width, units):
        return width * units + 2 * units

    def count(preset):
        config = models.find(f"convs2s/{preset}")[1]
        e, total = config.embedding_dim, 2 * config.max_length * config.embedding_dim
        total += 2 * config.vocab_size * e
        for layers, attends in ((config.encoder_layers, 0), (config.decoder_layers, 1)):
            sizes = layer_sizes(layers)
            width = sizes[0][0]
            total += dense(e, width)
            for units, kernel in sizes:
                total += dense(kernel * width, 2 * units)
                total += attends * (dense(units, e) + dense(e, units))
                total += dense(width, units) if width != units else 0
                width = units
            total += dense(width, e)
        return total

    for preset, layers in (("small", 4), ("wmt_en_ro", 20), ("wmt_en_de", 15), ("wmt_en_fr", 15)):
        assert models.num_parameters(f"convs2s/{preset}") == count(preset)
        assert len(layer_sizes(models.find(f"convs2s/{preset}")[1].encoder_layers)) == layers
