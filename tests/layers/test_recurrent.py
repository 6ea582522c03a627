import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tflm.layers.recurrent import CELLS, GRU, LSTM, unroll

N, T, D, U = 3, 7, 5, 4
by_cell = pytest.mark.parametrize("name", CELLS)


@pytest.fixture
def cell(randomize):
    def build(name, **arguments):
        layer = CELLS[name](U, **arguments)
        layer.build((None, None, D))
        return randomize(layer)

    return build


def texts(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape or (N, T, D)).astype("float32")


def kerass(layer):
    """Keras's own layer with the same weights."""
    if isinstance(layer, LSTM):
        theirs = keras.layers.LSTM(U, return_sequences=True, return_state=True)
    else:
        theirs = keras.layers.GRU(U, return_sequences=True, return_state=True, reset_after=False)
    theirs.build((None, None, D))
    theirs.set_weights(layer.get_weights())
    return theirs


@by_cell
@pytest.mark.parametrize("reverse", [False, True])
def test_a_layer_is_kerass(cell, name, reverse):
    layer, x = cell(name), texts()
    expected, *state = kerass(layer)(x[:, ::-1] if reverse else x)
    found, last = layer(x, reverse=reverse)
    expected = np.array(expected)[:, ::-1] if reverse else expected
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert len(last) == len(state)
    for ours, theirs in zip(last, state, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@by_cell
def test_a_text_in_pieces_equals_the_whole(cell, name):
    layer, x = cell(name), texts()
    whole, last = layer(x)
    state, pieces = layer.empty_state(N), []
    for start, stop in ((0, 1), (1, 4), (4, 5), (5, 7)):
        y, state = layer(x[:, start:stop], state)
        pieces.append(y)
    np.testing.assert_allclose(np.concatenate(pieces, axis=1), whole, atol=1e-6)
    for ours, theirs in zip(state, last, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


@by_cell
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_leaves_the_state_as_it_is(cell, name, reverse, side):
    layer, real = cell(name), texts(N, 4, D)
    noise = texts(N, 3, D, seed=1)
    mask = np.ones((N, 4), bool), np.zeros((N, 3), bool)
    both = (noise, real) if side == "left" else (real, noise)
    masks = mask[::-1] if side == "left" else mask
    expected, expected_state = layer(real, reverse=reverse)
    found, state = layer(
        np.concatenate(both, axis=1),
        padding_mask=np.concatenate(masks, axis=1),
        reverse=reverse,
    )
    found = found[:, 3:] if side == "left" else found[:, :4]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    for ours, theirs in zip(state, expected_state, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


@by_cell
def test_a_new_text_starts_without_a_memory_of_the_last(cell, name):
    layer, x = cell(name), texts()
    starts = np.zeros((N, T), bool)
    starts[0, 3] = starts[2, 5] = True
    found = np.array(layer(x, starts=starts)[0])
    np.testing.assert_allclose(found[1], layer(x)[0][1], atol=1e-6)
    for row, first in ((0, 3), (2, 5)):
        alone = layer(x[row : row + 1, first:])[0][0]
        np.testing.assert_allclose(found[row, first:], alone, atol=1e-6)


@by_cell
def test_a_graph_of_unknown_sizes_gives_the_same_and_a_gradient(cell, name):
    layer, x = cell(name), texts()
    mask = np.arange(T) < np.array([7, 2, 4])[:, None]
    signature = [tf.TensorSpec([None, None, D]), tf.TensorSpec([None, None], tf.bool)]

    @tf.function(input_signature=signature)
    def traced(x, mask):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y, _ = layer(x, padding_mask=mask)
            loss = tf.reduce_sum(tf.boolean_mask(y, mask) ** 2)
        return y, tape.gradient(loss, [x, *(w.value for w in layer.weights)])

    y, (of_x, *of_weights) = traced(x, mask)
    np.testing.assert_allclose(y, layer(x, padding_mask=mask)[0], atol=1e-6)
    assert not np.any(of_x[~mask]) and np.any(of_x[mask])
    assert all(np.any(gradient) for gradient in of_weights)


def test_an_lstm_does_not_forget_at_first():
    layer = LSTM(U)
    layer.build((None, None, D))
    np.testing.assert_array_equal(np.split(np.array(layer.bias), 4)[1], np.ones(U))
    assert np.sum(layer.bias) == U
    gru = GRU(U)
    gru.build((None, None, D))
    assert not np.any(gru.bias)


def test_unroll_keeps_every_state_in_the_order_of_the_text():
    numbers = np.arange(12, dtype="float32").reshape(2, 6, 1)
    inputs = {"a": numbers, "b": np.ones((2, 6, 3), "float32")}
    zero = {"sum": np.zeros((2, 1), "float32"), "ones": np.zeros((2, 3), "float32")}

    def step(state, now):
        return {"sum": state["sum"] + now["a"], "ones": state["ones"] + now["b"]}

    states, last = unroll(step, zero, inputs)
    np.testing.assert_allclose(states["sum"], np.cumsum(numbers, axis=1))
    np.testing.assert_allclose(last["ones"], np.full((2, 3), 6.0))
    states, last = unroll(step, zero, inputs, reverse=True)
    np.testing.assert_allclose(states["sum"], np.cumsum(numbers[:, ::-1], axis=1)[:, ::-1])
    np.testing.assert_allclose(last["sum"][:, 0], numbers.sum((1, 2)))


@by_cell
def test_cells_compute_in_the_policys_dtype(cell, name, assert_mixed):
    layer, x = cell(name, dtype="mixed_bfloat16"), texts()
    y, state = layer(x)
    assert y.dtype == "bfloat16" and {part.dtype for part in state} == {tf.bfloat16}
    expected = cell(name)(x)[0]
    np.testing.assert_allclose(ops.cast(y, "float32"), expected, atol=0.05)
    assert_mixed(layer)


@by_cell
def test_cells_survive_a_round_trip(name, assert_round_trip):
    again = assert_round_trip(CELLS[name], units=6)
    assert again.units == 6
