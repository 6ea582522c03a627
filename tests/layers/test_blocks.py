import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tflm.layers.blocks import DecoderBlock, EncoderBlock
from tflm.layers.masks import causal_mask, key_padding_mask

B, H, T, S, D, F = 2, 3, 4, 5, 12, 14
by_order = pytest.mark.parametrize("pre_norm", [False, True], ids=["post", "pre"])
ARGUMENTS = {
    "hidden_dim": 12,
    "num_heads": 3,
    "ffn_dim": 14,
    "dropout": 0.3,
    "attention_dropout": 0.2,
    "activation": "gelu",
    "pre_norm": True,
}


def arrays(*shapes):
    random = np.random.default_rng(0)
    return [tf.constant(random.normal(size=shape), tf.float32) for shape in shapes]


@pytest.fixture
def built(randomize):
    def build(cls, **arguments):
        block = cls(D, H, F, **arguments)
        block.build((B, T, D))
        return randomize(block)

    return build


def residual(x, norm, sublayer, pre_norm):
    """Figure 1 of the paper; or pre-norm, equation 1 of Xiong et al. 2020."""
    return x + sublayer(norm(x)) if pre_norm else norm(x + sublayer(x))


@by_order
def test_an_encoder_block_is_the_composition_of_its_parts(built, pre_norm):
    block = built(EncoderBlock, pre_norm=pre_norm, activation="tanh")
    (x,) = arrays((B, T, D))
    mask = key_padding_mask([[1, 1, 0, 1], [1, 0, 1, 1]])
    found = block(x, mask)
    x = residual(x, block.attention_norm, lambda y: block.attention(y, mask)[0], pre_norm)
    expected = residual(x, block.feed_forward_norm, block.feed_forward, pre_norm)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@by_order
def test_a_decoder_block_is_the_composition_of_its_parts(built, pre_norm):
    block = built(DecoderBlock, pre_norm=pre_norm, activation="tanh")
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
    post, pre = built(EncoderBlock)(x), built(EncoderBlock, pre_norm=True)(x)
    assert np.abs(post - pre).max() > 0.1


@by_order
def test_a_decoder_block_in_steps_with_a_cache_equals_the_whole(built, pre_norm):
    block, n = built(DecoderBlock, pre_norm=pre_norm), 3
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
    block = built(DecoderBlock)
    x, memory = arrays((B, T, D), (B, S, D))
    projected = block.cross_attention.project_memory(memory)
    everything = np.ones((B, 1, 1, S), bool)
    expected, _ = block(x, projected, np.ones((1, 1, T, T), bool), everything)
    np.testing.assert_allclose(block(x, projected)[0], expected, atol=1e-6)


@by_order
def test_dropout_is_on_in_training_only(built, pre_norm):
    x, memory = arrays((B, T, D), (B, S, D))
    for cls in (EncoderBlock, DecoderBlock):
        plain = built(cls, pre_norm=pre_norm)
        projected = plain.cross_attention.project_memory(memory) if cls is DecoderBlock else None
        more = () if projected is None else (projected,)
        for rates in ({"dropout": 0.5}, {"attention_dropout": 0.5}):
            block = built(cls, pre_norm=pre_norm, **rates)
            still = tf.nest.flatten(plain(x, *more, training=True))[0]
            np.testing.assert_array_equal(
                tf.nest.flatten(block(x, *more, training=False))[0], still
            )
            dropped = tf.nest.flatten(block(x, *more, training=True))[0]
            assert np.abs(dropped - still).max() > 1e-3


@pytest.mark.parametrize("cls", [EncoderBlock, DecoderBlock])
def test_every_part_computes_in_the_policys_dtype(cls, assert_mixed):
    block = cls(**ARGUMENTS, dtype="mixed_bfloat16")
    block.build((B, T, D))
    x, memory = arrays((B, T, D), (B, S, D))
    more = (block.cross_attention.project_memory(memory),) if cls is DecoderBlock else ()
    for output in tf.nest.flatten(block(x, *more)):
        assert output.dtype == tf.bfloat16
        assert np.isfinite(ops.cast(output, "float32")).all()
    assert_mixed(block)


@pytest.mark.parametrize("cls", [EncoderBlock, DecoderBlock])
def test_a_block_survives_a_round_trip(cls, assert_round_trip):
    again = assert_round_trip(cls, **ARGUMENTS)
    assert (again.drop.rate, again.attention.drop.rate) == (0.3, 0.2)
    assert again.feed_forward.up.activation.__name__ == "gelu"


@pytest.mark.parametrize("cls", [EncoderBlock, DecoderBlock])
def test_heads_must_divide_the_width(cls):
    with pytest.raises(ValueError, match="`hidden_dim` must be a multiple of `num_heads`"):
        cls(10, 3, 7)
