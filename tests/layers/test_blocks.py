import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tflm.layers.blocks import TransformerBlock
from tflm.layers.masks import causal_mask, key_padding_mask
from tflm.layers.normalization import LayerNormalization, RMSNormalization

B, H, T, S, D, F = 2, 3, 4, 5, 12, 14
by_order = pytest.mark.parametrize("pre_norm", [False, True], ids=["post", "pre"])
by_kind = pytest.mark.parametrize("cross_attention", [False, True], ids=["encoder", "decoder"])
ARGUMENTS = {
    "hidden_dim": 12,
    "num_heads": 4,
    "ffn_dim": 14,
    "cross_attention": True,
    "dropout": 0.3,
    "attention_dropout": 0.2,
    "ffn_dropout": 0.1,
    "activation": "gelu",
    "gated": True,
    "pre_norm": True,
    "norm": "rms",
    "norm_epsilon": 1e-5,
    "use_bias": False,
    "num_kv_heads": 2,
    "head_dim": 5,
    "query_key_value_bias": True,
    "query_key_norm": 1e-4,
    "attention_scale": 0.7,
}


def arrays(*shapes):
    random = np.random.default_rng(0)
    return [tf.constant(random.normal(size=shape), tf.float32) for shape in shapes]


@pytest.fixture
def built(randomize):
    def build(**arguments):
        block = TransformerBlock(D, H, F, **arguments)
        block.build((B, T, D))
        return randomize(block)

    return build


def residual(x, norm, sublayer, pre_norm):
    """Figure 1 of the paper; or pre-norm, equation 1 of Xiong et al. 2020."""
    return x + sublayer(norm(x)) if pre_norm else norm(x + sublayer(x))


@by_order
def test_an_encoder_block_is_the_composition_of_its_parts(built, pre_norm):
    block = built(pre_norm=pre_norm, activation="tanh")
    (x,) = arrays((B, T, D))
    mask = key_padding_mask([[1, 1, 0, 1], [1, 0, 1, 1]])
    found, _ = block(x, attention_mask=mask)
    x = residual(x, block.attention_norm, lambda y: block.attention(y, mask)[0], pre_norm)
    expected = residual(x, block.feed_forward_norm, block.feed_forward, pre_norm)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@by_order
def test_a_decoder_block_is_the_composition_of_its_parts(built, pre_norm):
    block = built(cross_attention=True, pre_norm=pre_norm, activation="tanh")
    x, memory = arrays((B, T, D), (B, S, D))
    projected = block.cross_attention.project_memory(memory)
    causal, padding = causal_mask(T), key_padding_mask([[1, 1, 0, 1, 0], [1, 0, 1, 1, 1]])
    found, cache = block(x, projected, causal, padding)

    def cross(y):
        return block.cross_attention(y, projected, padding)

    x = residual(x, block.attention_norm, lambda y: block.attention(y, causal)[0], pre_norm)
    x = residual(x, block.cross_attention_norm, cross, pre_norm)
    expected = residual(x, block.feed_forward_norm, block.feed_forward, pre_norm)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert cache["key"].shape == cache["value"].shape == (B, H, T, D // H)


def test_the_two_orders_differ(built):
    (x,) = arrays((B, T, D))
    post, pre = built()(x)[0], built(pre_norm=True)(x)[0]
    assert np.abs(post - pre).max() > 0.1


@by_order
def test_a_decoder_block_in_steps_with_a_cache_equals_the_whole(built, pre_norm):
    block, n = built(cross_attention=True, pre_norm=pre_norm), 3
    x, memory = arrays((n * B, T, D), (B, S, D))
    projected = block.cross_attention.project_memory(memory)
    padding = key_padding_mask([[1, 1, 0, 1, 0], [1, 0, 1, 1, 1]])
    whole, grown = block(x, projected, causal_mask(T), padding)
    cache, pieces = block.attention.empty_cache(n * B), []
    for i in range(T):
        y, cache = block(x[:, i : i + 1], projected, None, padding, cache=cache)
        pieces.append(y)
    np.testing.assert_allclose(np.concatenate(pieces, axis=1), whole, atol=1e-5)
    np.testing.assert_allclose(cache["key"], grown["key"], atol=1e-5)


def test_a_decoder_block_needs_no_masks(built):
    block = built(cross_attention=True)
    x, memory = arrays((B, T, D), (B, S, D))
    projected = block.cross_attention.project_memory(memory)
    everything = np.ones((B, 1, 1, S), bool)
    expected, _ = block(x, projected, np.ones((1, 1, T, T), bool), everything)
    np.testing.assert_allclose(block(x, projected)[0], expected, atol=1e-6)


def outputs(block, x, memory, **arguments):
    """The block's first output; a decoder's is given the memory."""
    if block.cross_attention is not None:
        arguments["memory"] = block.cross_attention.project_memory(memory)
    return block(x, **arguments)[0]


@by_order
@by_kind
def test_dropout_is_on_in_training_only(built, pre_norm, cross_attention):
    arguments = {"pre_norm": pre_norm, "cross_attention": cross_attention}
    x, memory = arrays((B, T, D), (B, S, D))
    still = outputs(built(**arguments), x, memory, training=True)
    for rate in ("dropout", "attention_dropout", "ffn_dropout"):
        block = built(**arguments, **{rate: 0.5})
        np.testing.assert_array_equal(outputs(block, x, memory, training=False), still)
        assert np.abs(outputs(block, x, memory, training=True) - still).max() > 1e-3


@by_kind
def test_every_part_computes_in_the_policys_dtype(cross_attention, assert_mixed):
    arguments = {**ARGUMENTS, "cross_attention": cross_attention}
    block = TransformerBlock(**arguments, dtype="mixed_bfloat16")
    block.build((B, T, D))
    x, memory = arrays((B, T, D), (B, S, D))
    output = outputs(block, x, memory)
    assert output.dtype == tf.bfloat16
    assert np.isfinite(ops.cast(output, "float32")).all()
    assert_mixed(block)


def test_a_block_survives_a_round_trip(assert_round_trip):
    again = assert_round_trip(TransformerBlock, **ARGUMENTS)
    rates = again.drop.rate, again.attention.drop.rate, again.feed_forward.drop.rate
    assert rates == (0.3, 0.2, 0.1)
    assert again.feed_forward.activation.__name__ == "gelu"
    assert again.cross_attention.head_dim == again.attention.head_dim == 5
    assert again.cross_attention.scale == again.attention.scale == 0.7


def test_root_mean_square_normalisation_by_name(built):
    kinds = {type(built(norm=name).attention_norm) for name in ("layer", "rms")}
    assert kinds == {LayerNormalization, RMSNormalization}


def test_an_unknown_normalisation_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"`norm` must be one of \['layer', 'rms'\]. .*'batch'"):
        TransformerBlock(12, 3, 7, norm="batch")


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="`hidden_dim` must be a multiple of `num_heads`"):
        TransformerBlock(10, 3, 7)


def test_a_decoder_block_shows_where_it_looks(built):
    block = built(cross_attention=True)
    x, memory = arrays((B, T, D), (B, S, D))
    projected = block.cross_attention.project_memory(memory)
    found, cache = block(x, projected, return_attention=True)
    expected, plain = block(x, projected)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert sorted(cache) == ["attention", *sorted(plain)]
    y = block.attention_norm(x + block.attention(x)[0])
    _, weights = block.cross_attention(y, projected, return_weights=True)
    np.testing.assert_allclose(cache["attention"], weights, atol=1e-6)
