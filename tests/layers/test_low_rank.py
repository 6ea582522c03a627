import keras
import numpy as np
import pytest

from tflm.layers.gated_convolution import NormalizedDense
from tflm.layers.low_rank import LowRank
from tflm.layers.recurrent import GRU, LSTM

N, T, D, U = 2, 4, 5, 3
BUILDERS = {"lstm": lambda: LSTM(U), "gru": lambda: GRU(U), "dense": lambda: NormalizedDense(U)}


def built(kind):
    layer = BUILDERS[kind]()
    layer.build((None, None, D))
    return layer


def outputs(layer):
    x = np.random.default_rng(0).normal(size=(N, T, D)).astype("float32")
    found = layer(x)
    return np.asarray(found[0] if isinstance(found, tuple) else found)


@pytest.mark.parametrize("kind", BUILDERS)
def test_a_layer_multiplies_by_its_matrices_and_what_is_added(kind, randomize):
    layer, merged = randomize(built(kind)), built(kind)
    merged.set_weights(layer.get_weights())
    before, count = outputs(layer), len(layer.weights)
    layer.enable_lora(2, lora_alpha=6.0)
    assert len(layer.weights) == count + 2 * len(layer.MATRICES)
    np.testing.assert_allclose(outputs(layer), before, atol=1e-6)
    random = np.random.default_rng(1)
    for name in layer.MATRICES:
        a, b = (getattr(layer, f"lora_{name}_{part}") for part in "ab")
        b.assign(random.normal(0.0, 0.5, b.shape))
        matrix = getattr(merged, name)
        matrix.assign(np.asarray(matrix) + 3.0 * np.asarray(a) @ np.asarray(b))
    np.testing.assert_allclose(outputs(layer), outputs(merged), atol=1e-5)
    assert np.abs(outputs(layer) - before).max() > 1e-3


def test_what_is_added_is_scaled_and_in_the_dtype_asked_for():
    layer = built("dense")
    layer.enable_lora(2)
    assert (layer.lora_enabled, layer.lora_rank, layer.lora_alpha) == (True, 2, 2)
    layer.lora_direction_b.assign(np.ones((2, U)))
    layer.lora_alpha = 8.0
    a, b = layer.low_rank("direction", "bfloat16")
    assert (a.shape, b.shape, a.dtype, b.dtype) == ((D, 2), (2, U), "bfloat16", "bfloat16")
    np.testing.assert_array_equal(keras.ops.cast(b, "float32"), np.full((2, U), 4.0))


def test_a_layer_without_matrices_gets_none():
    layer = LowRank()
    layer.build((None, D))
    layer.enable_lora(2)
    assert layer.weights == [] and layer.lora_enabled
