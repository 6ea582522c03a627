import math

import numpy as np
import pytest
from keras import ops

from tflm import models
from tflm.layers.masks import causal_mask, key_padding_mask
from tflm.models.transformer import Config, Transformer

B, S, T, V = 2, 7, 5, 29
SMALL = {
    "vocab_size": V,
    "hidden_dim": 12,
    "ffn_dim": 20,
    "num_heads": 3,
    "num_encoder_layers": 2,
    "num_decoder_layers": 3,
}
SIZES = {
    "vocab_size": 29,
    "hidden_dim": 12,
    "ffn_dim": 20,
    "num_heads": 3,
    "num_encoder_layers": 2,
    "num_decoder_layers": 1,
}
CONTRACT = [
    {
        **SIZES,
        "target_vocab_size": 23,
        "dropout": 0.2,
        "attention_dropout": 0.15,
        "activation": "tanh",
        "pre_norm": True,
        "learned_positions": True,
        "tie_output": False,
        "max_length": 17,
    },
    SIZES,
]


def built(**fields):
    model = Transformer(Config(**{**SMALL, **fields}))
    model.build(None)
    random = np.random.default_rng(5)
    for weight in model.weights:
        weight.assign(random.normal(0.05, 0.35, weight.shape))
    return model


def batch(seed=0):
    random = np.random.default_rng(seed)
    return {
        "encoder_token_ids": random.integers(4, V, (B, S), "int32"),
        "encoder_padding_mask": np.array([[True] * S, [True] * 4 + [False] * 3]),
        "decoder_token_ids": random.integers(4, V, (B, T), "int32"),
    }


class Paper:
    """The forward pass of the paper in float64, from its equations and a model's weights by name.

    Sizes are those of the weights; the only convention taken over is that the positions' sines
    stand before their cosines.
    """

    def __init__(self, model):
        self.weights = {
            weight.path.split("/", 1)[1]: ops.convert_to_numpy(weight).astype("float64")
            for weight in model.weights
        }
        self.num_heads = model.config.num_heads

    def embed(self, token_ids):  # sections 3.4 and 3.5
        table = self.weights["embedding/embeddings"]
        dim, length = table.shape[1], token_ids.shape[1]
        angles = np.arange(length)[:, None] / 10000 ** (np.arange(0, dim, 2) / dim)
        positions = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
        return table[token_ids] * math.sqrt(dim) + positions

    def dense(self, x, name):
        return x @ self.weights[f"{name}/kernel"] + self.weights[f"{name}/bias"]

    def norm(self, x, name):
        x = x - x.mean(-1, keepdims=True)
        x = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6)
        return x * self.weights[f"{name}/scale"] + self.weights[f"{name}/offset"]

    def attend(self, query, key, value, mask):  # equation 1, for each head
        contexts = []
        split = [np.split(x, self.num_heads, axis=-1) for x in (query, key, value)]
        for q, k, v in zip(*split, strict=True):
            scores = q @ k.swapaxes(1, 2) / math.sqrt(q.shape[-1])
            weights = np.exp(np.where(mask, scores, -np.inf))
            contexts.append(weights / weights.sum(-1, keepdims=True) @ v)
        return np.concatenate(contexts, axis=-1)

    def self_attention(self, x, mask, name):
        query, key, value = np.split(self.dense(x, f"{name}/query_key_value"), 3, axis=-1)
        return self.dense(self.attend(query, key, value, mask), f"{name}/out")

    def cross_attention(self, x, memory, mask, name):
        key, value = np.split(self.dense(memory, f"{name}/key_value"), 2, axis=-1)
        query = self.dense(x, f"{name}/query")
        return self.dense(self.attend(query, key, value, mask), f"{name}/out")

    def feed_forward(self, x, name):  # equation 2
        return self.dense(np.maximum(self.dense(x, f"{name}/up"), 0.0), f"{name}/down")

    def logits(self, source, source_mask, target, encoder_layers, decoder_layers):
        hidden = source_mask[:, None, :]
        x = self.embed(source)
        for i in range(encoder_layers):
            block = f"encoder_block_{i}"
            y = self.self_attention(x, hidden, f"{block}/attention")
            x = self.norm(x + y, f"{block}/attention_norm")
            y = self.feed_forward(x, f"{block}/feed_forward")
            x = self.norm(x + y, f"{block}/feed_forward_norm")
        memory, x = x, self.embed(target)
        causal = np.tril(np.ones((target.shape[1],) * 2, bool))
        for i in range(decoder_layers):
            block = f"decoder_block_{i}"
            y = self.self_attention(x, causal, f"{block}/attention")
            x = self.norm(x + y, f"{block}/attention_norm")
            y = self.cross_attention(x, memory, hidden, f"{block}/cross_attention")
            x = self.norm(x + y, f"{block}/cross_attention_norm")
            y = self.feed_forward(x, f"{block}/feed_forward")
            x = self.norm(x + y, f"{block}/feed_forward_norm")
        return x @ self.weights["embedding/embeddings"].T


def test_the_whole_network_is_the_papers():
    model, inputs = built(), batch()
    expected = Paper(model).logits(
        inputs["encoder_token_ids"],
        inputs["encoder_padding_mask"],
        inputs["decoder_token_ids"],
        model.config.num_encoder_layers,
        model.config.num_decoder_layers,
    )
    np.testing.assert_allclose(model(inputs), expected, rtol=1e-4, atol=1e-4)


def count(vocab_size, dim, ffn_dim, layers):
    """Parameters of a tied Transformer with as many encoder as decoder blocks."""
    attention = 4 * (dim * dim + dim)
    feed_forward = dim * ffn_dim + ffn_dim + ffn_dim * dim + dim
    norm = 2 * dim
    encoder = attention + feed_forward + 2 * norm
    decoder = 2 * attention + feed_forward + 3 * norm
    return vocab_size * dim + layers * (encoder + decoder)


@pytest.mark.parametrize(
    "preset, sizes, published",
    [
        ("tiny", (128, 256, 4), None),
        ("small", (256, 2048, 6), 28e6),
        ("base", (512, 2048, 6), 65e6),
        ("big", (1024, 4096, 6), 213e6),
    ],
)
def test_presets_have_the_published_number_of_parameters(preset, sizes, published):
    found = models.num_parameters(f"transformer/{preset}")
    assert found == count(37000, *sizes)
    assert published is None or found == pytest.approx(published, rel=0.05)


def test_a_built_model_has_the_counted_parameters():
    assert built(num_decoder_layers=2).count_params() == count(V, 12, 20, 2)


def matrices(model, rows):
    return [w.path.split("/", 1)[1] for w in model.weights if w.shape == (rows, 12)]


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({}, {V: ["embedding"]}),
        ({"tie_output": False}, {V: ["embedding", "output_embedding"]}),
        ({"target_vocab_size": 23}, {V: ["embedding"], 23: ["target_embedding"]}),
        (
            {"target_vocab_size": 23, "tie_output": False},
            {V: ["embedding"], 23: ["target_embedding", "output_embedding"]},
        ),
    ],
    ids=str,
)
def test_vocabularies_share_exactly_the_embeddings_they_should(fields, expected):
    model = built(**fields)
    for rows, names in expected.items():
        assert sorted(matrices(model, rows)) == sorted(f"{name}/embeddings" for name in names)
    logits = model(batch() if "target_vocab_size" not in fields else in_vocabulary(23))
    assert logits.shape == (B, T, fields.get("target_vocab_size", V))


def in_vocabulary(size):
    inputs = batch()
    return {**inputs, "decoder_token_ids": inputs["decoder_token_ids"] % size}


def test_tied_embeddings_are_one_weight_with_three_uses():
    model, inputs = built(), batch()
    memory = model.encode(inputs["encoder_token_ids"], inputs["encoder_padding_mask"])
    logits = ops.convert_to_numpy(model(inputs))
    token, unused = int(inputs["encoder_token_ids"][0, 0]), 1
    table = ops.convert_to_numpy(model.embedding.embeddings).copy()
    table[unused] = 2 * table[unused]
    model.embedding.embeddings.assign(table)
    changed = ops.convert_to_numpy(model(inputs))
    np.testing.assert_allclose(changed[..., unused], 2 * logits[..., unused], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(changed[..., 2:], logits[..., 2:], atol=1e-5)
    table[token] += 1.0
    model.embedding.embeddings.assign(table)
    moved = model.encode(inputs["encoder_token_ids"], inputs["encoder_padding_mask"])
    assert np.abs(moved - memory).max() > 1e-3


def test_pre_norm_normalises_what_leaves_encoder_and_decoder():
    model, inputs = Transformer(Config(**SMALL, pre_norm=True)), batch()
    model.build(None)
    memory = model.encode(inputs["encoder_token_ids"], inputs["encoder_padding_mask"])
    np.testing.assert_allclose(np.mean(memory, axis=-1), 0.0, atol=1e-5)
    np.testing.assert_allclose(np.std(memory, axis=-1), 1.0, atol=1e-3)
    names = {weight.path.split("/")[1] for weight in model.weights}
    assert {"encoder_norm", "decoder_norm"} <= names
    assert not {"encoder_norm", "decoder_norm"} & {w.path.split("/")[1] for w in built().weights}


def test_learned_positions_are_one_table_for_each_side():
    model = built(learned_positions=True, max_length=11)
    assert matrices(model, 11) == ["encoder_positions/embeddings", "decoder_positions/embeddings"]
    same = np.full((B, S), 9, "int32")
    memory = ops.convert_to_numpy(model.encode(same, np.ones((B, S), bool)))
    assert np.abs(memory[:, 1:] - memory[:, :-1]).max(-1).min() > 1e-3


def test_learned_positions_bound_what_may_be_written():
    model, inputs = built(learned_positions=True, max_length=11), batch()
    mask = inputs["encoder_padding_mask"]
    memory = model.encode(inputs["encoder_token_ids"], mask)
    assert model.start(memory, mask, 11).keys() >= {"step", "memory"}
    with pytest.raises(
        ValueError, match="`max_length` must be at most the config's 11. Received: max_length=12"
    ):
        model.start(memory, mask, 12)


def test_sinusoids_bound_nothing():
    model, inputs = built(max_length=11), batch()
    mask = inputs["encoder_padding_mask"]
    memory = model.encode(inputs["encoder_token_ids"], mask)
    assert model.start(memory, mask, 10_000).keys() >= {"step", "memory"}


def test_learned_positions_need_a_length():
    with pytest.raises(
        ValueError,
        match="`max_length` must be given where `learned_positions` is true. "
        "Received: max_length=None, learned_positions=True",
    ):
        Config(learned_positions=True)


def test_without_a_cache_nothing_is_kept():
    model, inputs = built(), batch()
    mask = inputs["encoder_padding_mask"]
    cache = model.start(model.encode(inputs["encoder_token_ids"], mask), mask)
    logits, kept = model.decode(inputs["decoder_token_ids"], {**cache, "step": None})
    assert kept["step"] is None
    np.testing.assert_allclose(logits, model(inputs), atol=1e-6)


def test_a_single_source_token_and_a_single_target_token_are_enough():
    model = built()
    one = np.array([[5], [6]], "int32")
    inputs = {"encoder_token_ids": one, "encoder_padding_mask": one > 0, "decoder_token_ids": one}
    logits = ops.convert_to_numpy(model(inputs))
    assert logits.shape == (B, 1, V)
    assert np.isfinite(logits).all()


def test_a_source_of_padding_alone_gives_finite_logits():
    model, inputs = built(), batch()
    inputs["encoder_padding_mask"] = np.zeros((B, S), bool)
    assert np.isfinite(model(inputs)).all()


def test_rates_and_activation_reach_every_block():
    model = built(dropout=0.4, attention_dropout=0.3, activation="gelu")
    assert model.drop.rate == 0.4
    for block in (*model.encoder_blocks, *model.decoder_blocks):
        assert block.drop.rate == 0.4
        assert block.attention.drop.rate == 0.3
        assert block.feed_forward.activation.__name__ == "gelu"
    assert {block.cross_attention.drop.rate for block in model.decoder_blocks} == {0.3}


def test_the_last_block_but_one_says_what_was_looked_at():
    model = Transformer(Config(**SMALL))
    model.build(None)
    source = np.array([[5, 6, 7, 8], [9, 10, 0, 0]], "int32")
    mask, target = source > 0, np.array([[2, 11, 12], [2, 13, 14]], "int32")
    cache = model.start(model.encode(source, mask), mask)
    logits, after = model.decode(target, {**cache, "step": None, "with_attention": True})
    expected, plain = model.decode(target, {**cache, "step": None})
    np.testing.assert_allclose(logits, expected, atol=1e-6)
    assert "attention" not in plain
    attention = ops.convert_to_numpy(after["attention"])  # (N, T, S)
    assert attention.shape == (2, 3, 4)
    np.testing.assert_allclose(attention.sum(axis=-1), 1.0, rtol=1e-5)
    assert not attention[1, :, 2:].any()
    x = model.embed_target(target, 0, False)
    for block, memory in zip(model.decoder_blocks[:2], cache["memory"]["blocks"], strict=False):
        x, kept = block(x, memory, causal_mask(3), key_padding_mask(mask), return_attention=True)
    np.testing.assert_allclose(attention, kept["attention"], atol=1e-5)


@pytest.mark.parametrize(("plain", "deep"), [("base", "deep"), ("tiny", "tiny")])
@pytest.mark.parametrize("layers", [(12, 1), (6, 2)])
def test_deep_encoders_with_shallow_decoders_are_as_wide_as_the_plain_ones(plain, deep, layers):
    found = Transformer.PRESETS[f"{deep}_{layers[0]}_{layers[1]}"]
    assert (found.num_encoder_layers, found.num_decoder_layers) == layers
    sizes = ("hidden_dim", "ffn_dim", "num_heads", "vocab_size")
    wide = Transformer.PRESETS[plain]
    assert [getattr(found, name) for name in sizes] == [getattr(wide, name) for name in sizes]
