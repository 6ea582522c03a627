import numpy as np
import pytest

from tflm.layers.convolution_block import ConvolutionBlock, SeparableConvolution

B, T, D, K = 2, 9, 6, 5
MASK = np.arange(T) < np.array([9, 4])[:, None]


def states():
    return np.random.default_rng(0).normal(size=(B, T, D)).astype("float32")


@pytest.fixture
def block(randomize):
    def build(**kwargs):
        layer = ConvolutionBlock(D, 3, 2, K, **kwargs)
        layer.build(None)
        return randomize(layer)

    return build


def test_a_separable_convolution_is_one_of_columns_and_one_of_rows(randomize):
    layer = SeparableConvolution(D, K)
    layer.build(None)
    randomize(layer)
    x = states()
    kernel = np.asarray(layer.depthwise.weights[0])[:, :, 0]  # (k, D)
    padded = np.pad(x, ((0, 0), (K // 2, K // 2), (0, 0)))
    near = sum(padded[:, i : i + T] * kernel[i] for i in range(K))
    weights, bias = (np.asarray(weight) for weight in layer.pointwise.weights)
    expected = np.maximum(near @ weights + bias, 0.0)
    np.testing.assert_allclose(layer(x), expected, atol=1e-5)


def test_a_block_adds_to_what_it_is_given_and_to_positions(block):
    layer = block()
    for part in (*(each.pointwise for each in layer.convolutions), layer.feed_forward.down):
        for weight in part.weights:
            weight.assign(np.zeros(weight.shape))
    for weight in layer.attention.out.weights:
        weight.assign(np.zeros(weight.shape))
    x = states()
    moved = np.asarray(layer(x, MASK, MASK[:, None, None])) - x
    angles = np.arange(T)[:, None] / 10000.0 ** (np.arange(0, D, 2) / D)
    positions = np.concatenate([np.sin(angles), np.cos(angles)], axis=-1)
    np.testing.assert_allclose(moved, np.broadcast_to(positions, moved.shape), atol=1e-5)


def test_padding_is_inert(block):
    layer, x = block(), states()
    expected = np.asarray(layer(x, MASK, MASK[:, None, None]))
    noisy = np.where(MASK[..., None], x, 3.0)
    found = np.asarray(layer(noisy, MASK, MASK[:, None, None]))
    np.testing.assert_allclose(found[MASK], expected[MASK], atol=1e-5)
    alone = layer(x[1:, :4], MASK[1:, :4], MASK[1:, None, None, :4])
    np.testing.assert_allclose(alone[0], expected[1, :4], atol=1e-5)


def test_dropout_is_on_in_training_alone(block):
    layer, x = block(dropout=0.4), states()
    mask = MASK[:, None, None]
    np.testing.assert_array_equal(layer(x, MASK, mask), layer(x, MASK, mask))
    trained = [np.asarray(layer(x, MASK, mask, training=True)) for _ in range(2)]
    assert np.abs(trained[0] - trained[1]).max() > 1e-2


def test_a_block_computes_in_the_policys_dtype(block, assert_mixed):
    layer = block(dtype="mixed_bfloat16")
    assert layer(states(), MASK, MASK[:, None, None]).dtype == "bfloat16"
    assert_mixed(layer)


def test_layers_survive_a_round_trip(assert_round_trip):
    assert_round_trip(SeparableConvolution, hidden_dim=6, kernel_size=3)
    again = assert_round_trip(
        ConvolutionBlock,
        hidden_dim=6,
        num_heads=2,
        num_convolutions=3,
        kernel_size=7,
        dropout=0.2,
    )
    assert len(again.convolutions) == 3
