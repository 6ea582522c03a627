import numpy as np
import pytest

from tflm.layers.gated_convolution import GatedConvolution, NormalizedDense

N, L, D, U, K = 2, 7, 5, 4, 3


def texts():
    return np.random.default_rng(0).normal(size=(N, L, D)).astype("float32")


def built(layer, randomize):
    layer.build((None, None, D))
    return randomize(layer)


def test_a_convolution_is_a_window_times_a_kernel_and_a_gate(randomize):
    layer, x = built(GatedConvolution(U, K), randomize), texts()
    direction, length, bias = (
        np.array(getattr(layer.dense, name)) for name in ("direction", "length", "bias")
    )
    kernel = length * direction / np.linalg.norm(direction, axis=0)  # (K * D, 2 * U)
    expected = np.zeros((N, L - K + 1, U))
    for t in range(L - K + 1):
        both = x[:, t : t + K].reshape(N, -1) @ kernel + bias
        expected[:, t] = both[:, :U] / (1 + np.exp(-both[:, U:]))
    np.testing.assert_allclose(layer(x), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(layer(x, layer.normalized()), layer(x))


def test_a_width_of_one_sees_one_position(randomize):
    layer, x = built(GatedConvolution(U, 1), randomize), texts()
    whole = np.array(layer(x))
    assert whole.shape == (N, L, U)
    np.testing.assert_allclose(whole[:, 2:3], layer(x[:, 2:3]), atol=1e-6)


@pytest.mark.parametrize("gain", [1.0, 0.7])
def test_a_new_layer_keeps_the_variance_it_is_asked_to(gain):
    layer = NormalizedDense(300, gain)
    layer.build((None, 500))
    x = np.random.default_rng(1).normal(size=(400, 500)).astype("float32")
    assert np.var(layer(x)) == pytest.approx(gain, rel=0.05)


def test_a_gate_is_made_up_for():
    layer = GatedConvolution(200, K)
    layer.build((None, None, 300))
    # Inputs so small that every gate is half open (section 3.5 of the paper).
    x = 1e-2 * np.random.default_rng(1).normal(size=(N, 60, 300)).astype("float32")
    assert np.var(layer(x)) == pytest.approx(np.var(x), rel=0.1)


def test_columns_have_their_lengths_whatever_the_direction(randomize):
    layer = built(NormalizedDense(U, 4.0), randomize)
    lengths = np.abs(np.array(layer.length))
    np.testing.assert_allclose(np.linalg.norm(layer.normalized(), axis=0), lengths, rtol=1e-5)
    layer.direction.assign(3.0 * np.array(layer.direction))
    np.testing.assert_allclose(np.linalg.norm(layer.normalized(), axis=0), lengths, rtol=1e-5)


def test_convolutions_compute_in_the_policys_dtype(randomize, assert_mixed):
    layer = built(GatedConvolution(U, K, dtype="mixed_bfloat16"), randomize)
    assert layer(texts()).dtype == layer.normalized().dtype == "bfloat16"
    assert_mixed(layer)


def test_both_layers_survive_a_round_trip(assert_round_trip):
    again = assert_round_trip(GatedConvolution, units=6, kernel_size=2, gain=3.0)
    assert again.dense.gain == 3.0
    assert assert_round_trip(NormalizedDense, units=6, gain=0.5).units == 6
