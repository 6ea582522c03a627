import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tflm.layers.attention import CrossAttention, SelfAttention, attend
from tflm.layers.masks import causal_mask, key_padding_mask
from tflm.layers.positions import rotary_tables

B, H, T, S, K = 2, 3, 4, 5, 6
D = H * K
by_bias = pytest.mark.parametrize("use_bias", [True, False])


def numpy_attend(query, key, value, mask=None):
    """Equation 1 of the paper."""
    scores = np.einsum("bhtk,bhsk->bhts", query, key) / np.sqrt(query.shape[-1])
    if mask is not None:
        scores = np.where(mask, scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    return np.einsum("bhts,bhsk->bhtk", weights, value)


def heads(x, kernel, bias=0.0):
    """A projection of (B, T, D), split: (B, H, T, K)."""
    return (x @ kernel + bias).reshape(*x.shape[:2], H, K).swapaxes(1, 2)


def merged(context):
    """(B, H, T, K) -> (B, T, D)."""
    return context.swapaxes(1, 2).reshape(context.shape[0], -1, D)


def arrays(*shapes, seed=0):
    random = np.random.default_rng(seed)
    return [random.normal(size=shape).astype("float32") for shape in shapes]


def projection(layer, parts=1):
    """Kernel and bias of a dense layer, a pair for each of its parts."""
    kernel, bias = (*map(ops.convert_to_numpy, layer.weights), np.zeros(parts * D))[:2]
    return list(zip(np.split(kernel, parts, axis=-1), np.split(bias, parts), strict=True))


def random_mask(*shape):
    mask = np.random.default_rng(7).random(shape) < 0.5
    mask[..., 0] = True  # somewhere to look
    return mask


@pytest.mark.parametrize("shape", [None, (B, 1, 1, S), (1, 1, T, S), (B, H, T, S)], ids=str)
def test_attend_is_equation_one_of_the_paper(shape):
    query, key, value = arrays((B, H, T, K), (B, H, S, K), (B, H, S, K))
    mask = None if shape is None else random_mask(*shape)
    found = attend(*map(ops.convert_to_tensor, (query, key, value)), mask)
    assert found.shape == (B, H, T, K)
    np.testing.assert_allclose(found, numpy_attend(query, key, value, mask), atol=1e-5)


def test_a_fully_hidden_row_averages_and_its_gradient_is_finite():
    query, key, value = map(tf.constant, arrays((B, H, T, K), (B, H, S, K), (B, H, S, K)))
    mask = np.ones((B, 1, 1, S), bool)
    mask[1] = False
    with tf.GradientTape() as tape:
        tape.watch([query, key, value])
        found = attend(query, key, value, mask)
    gradients = tape.gradient(found, [query, key, value])
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    mean = np.repeat(value.numpy()[1].mean(-2, keepdims=True), T, axis=-2)
    np.testing.assert_allclose(found[1], mean, atol=1e-5)


def test_a_single_key_gets_the_whole_weight():
    query, key, value = map(tf.constant, arrays((B, H, T, K), (B, H, 1, K), (B, H, 1, K)))
    with tf.GradientTape() as tape:
        tape.watch(query)
        found = attend(query, key, value)
    np.testing.assert_allclose(found, np.repeat(value, T, axis=2))
    assert not np.any(tape.gradient(found, query))


def test_attend_drops_weights_that_sum_to_one():
    query, key, value = map(tf.constant, arrays((B, H, T, K), (B, H, S, K), (B, H, S, K)))
    seen = []

    def half(weights):
        seen.append(ops.convert_to_numpy(weights))
        return weights * 0.5

    dropped = attend(query, key, value, drop=half)
    assert seen[0].shape == (B, H, T, S)
    np.testing.assert_allclose(seen[0].sum(-1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(dropped, 0.5 * attend(query, key, value), atol=1e-5)


@pytest.fixture
def self_attention(randomize):
    def build(**arguments):
        layer = SelfAttention(D, H, **arguments)
        layer.build((B, T, D))
        return randomize(layer)

    return build


@pytest.fixture
def cross_attention(randomize):
    def build(**arguments):
        layer = CrossAttention(D, H, **arguments)
        layer.build(None)
        return randomize(layer)

    return build


@by_bias
def test_self_attention_is_attend_between_projections(self_attention, use_bias):
    layer = self_attention(use_bias=use_bias)
    assert len(layer.weights) == (4 if use_bias else 2)
    (x,) = arrays((B, T, D))
    mask = random_mask(B, 1, T, T)
    query, key, value = (heads(x, *part) for part in projection(layer.query_key_value, 3))
    ((out, out_bias),) = projection(layer.out)
    expected = merged(numpy_attend(query, key, value, mask)) @ out + out_bias
    found, cache = layer(x, mask)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(cache["key"], key, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(cache["value"], value, rtol=1e-4, atol=1e-5)


def test_a_sequence_in_pieces_with_a_cache_equals_the_whole(self_attention):
    layer = self_attention()
    (x,) = arrays((B, 7, D))
    whole, grown = layer(x, causal_mask(7))
    cache = layer.empty_cache(B)
    assert cache["key"].shape == cache["value"].shape == (B, H, 0, K)
    pieces = []
    for start, stop in ((0, 2), (2, 3), (3, 4), (4, 7)):
        y, cache = layer(x[:, start:stop], causal_mask(stop - start, start), cache)
        pieces.append(y)
    np.testing.assert_allclose(np.concatenate(pieces, axis=1), whole, atol=1e-5)
    assert cache["key"].shape == (B, H, 7, K)
    for name in ("key", "value"):
        np.testing.assert_allclose(cache[name], grown[name], atol=1e-5)


@by_bias
def test_cross_attention_is_attend_between_projections(cross_attention, use_bias):
    layer = cross_attention(use_bias=use_bias)
    assert len(layer.weights) == (6 if use_bias else 3)
    x, memory = arrays((B, T, D), (B, S, D))
    mask = random_mask(B, 1, 1, S)
    ((kernel, bias),) = projection(layer.query)
    key, value = (heads(memory, *part) for part in projection(layer.key_value, 2))
    ((out, out_bias),) = projection(layer.out)
    expected = merged(numpy_attend(heads(x, kernel, bias), key, value, mask)) @ out + out_bias
    projected = layer.project_memory(memory)
    assert projected["key"].shape == projected["value"].shape == (B, H, S, K)
    np.testing.assert_allclose(layer(x, projected, mask), expected, rtol=1e-4, atol=1e-4)


def test_rows_that_share_a_memory_equal_rows_with_a_repeated_one(cross_attention):
    layer, n = cross_attention(), 7
    x, memory = arrays((n * B, T, D), (B, S, D))
    padding_mask = np.array([[True, True, False, True, False], [True, False, True, True, True]])
    found = layer(x, layer.project_memory(memory), key_padding_mask(padding_mask))
    repeated = layer.project_memory(np.repeat(memory, n, axis=0))
    expected = layer(x, repeated, key_padding_mask(np.repeat(padding_mask, n, axis=0)))
    assert found.shape == (n * B, T, D)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_padded_memory_is_inert(cross_attention):
    layer = cross_attention()
    x, memory, noise = arrays((B, T, D), (B, S, D), (B, 2, D))
    padding_mask = np.array([[True] * 3 + [False] * 2] * B)
    noisy = np.concatenate([memory[:, :3], noise], axis=1)
    found = layer(x, layer.project_memory(noisy), key_padding_mask(padding_mask))
    expected = layer(x, layer.project_memory(memory[:, :3]))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_self_attention_drops_weights_in_training_only(self_attention):
    layer = self_attention(dropout=0.5)
    (x,) = arrays((B, T, D))
    still = layer(x, training=False)[0]
    np.testing.assert_array_equal(still, self_attention()(x)[0])
    assert np.abs(layer(x, training=True)[0] - still).max() > 1e-3


def test_cross_attention_drops_weights_in_training_only(cross_attention):
    layer = cross_attention(dropout=0.5)
    x, memory = arrays((B, T, D), (B, S, D))
    projected = layer.project_memory(memory)
    still = layer(x, projected, training=False)
    np.testing.assert_array_equal(still, cross_attention()(x, projected))
    assert np.abs(layer(x, projected, training=True) - still).max() > 1e-3


def test_a_graph_of_unknown_sizes_gives_the_same(self_attention, cross_attention):
    first, second = self_attention(), cross_attention()

    def both(x, memory):
        y, cache = first(x, causal_mask(ops.shape(x)[1]), first.empty_cache(ops.shape(x)[0]))
        return second(y, second.project_memory(memory)), cache["key"]

    unknown = tf.TensorSpec([None, None, D])
    traced = tf.function(both, input_signature=[unknown, unknown])
    x, memory = map(tf.constant, arrays((3 * B, T, D), (B, S, D)))
    for found, expected in zip(traced(x, memory), both(x, memory), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_attention_computes_in_the_policys_dtype(self_attention, cross_attention, assert_mixed):
    x, memory = arrays((B, T, D), (B, S, D))
    policy = {"dtype": "mixed_bfloat16", "dropout": 0.25}
    layer = self_attention(**policy)
    y, cache = layer(x, causal_mask(T), layer.empty_cache(B))
    assert y.dtype == cache["key"].dtype == cache["value"].dtype == "bfloat16"
    expected = ops.convert_to_numpy(self_attention()(x, causal_mask(T))[0])
    close = {"rtol": 0.05, "atol": 0.05 * np.abs(expected).max()}
    np.testing.assert_allclose(ops.cast(y, "float32"), expected, **close)
    assert_mixed(layer)
    layer = cross_attention(**policy)
    projected = layer.project_memory(memory)
    assert layer(x, projected).dtype == projected["key"].dtype == "bfloat16"
    assert_mixed(layer)


@pytest.mark.parametrize("cls", [SelfAttention, CrossAttention])
def test_heads_must_divide_the_width(cls):
    expected = (
        "`hidden_dim` must be a multiple of `num_heads`. Received: hidden_dim=10, num_heads=3"
    )
    with pytest.raises(ValueError, match=expected):
        cls(10, 3)


def test_heads_of_keys_must_divide_the_heads():
    expected = "`num_heads` must be a multiple of `num_kv_heads`. .*num_heads=4, num_kv_heads=3"
    with pytest.raises(ValueError, match=expected):
        SelfAttention(12, 4, 3)


def test_self_attention_survives_a_round_trip(assert_round_trip):
    again = assert_round_trip(
        SelfAttention,
        hidden_dim=12,
        num_heads=4,
        num_kv_heads=2,
        head_dim=6,
        dropout=0.3,
        use_bias=False,
        query_key_value_bias=True,
        scale=0.5,
        query_key_norm=1e-5,
    )
    assert again.drop.rate == 0.3
    assert again.query_key_value.use_bias and not again.out.use_bias


def test_cross_attention_survives_a_round_trip(assert_round_trip):
    again = assert_round_trip(
        CrossAttention,
        hidden_dim=12,
        num_heads=4,
        head_dim=6,
        dropout=0.3,
        use_bias=False,
        scale=0.5,
    )
    assert again.drop.rate == 0.3


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_grouped_queries_equal_repeated_keys(groups):
    heads = 6
    query, key, value = arrays((B, heads, T, K), (B, groups, S, K), (B, groups, S, K))
    mask, (bias,) = random_mask(B, 1, T, S), arrays((1, heads, T, S), seed=5)
    found = attend(*map(ops.convert_to_tensor, (query, key, value)), mask, bias=bias, scale=0.3)
    key, value = (np.repeat(x, heads // groups, axis=1) for x in (key, value))
    scores = np.einsum("bhtk,bhsk->bhts", query, key) * 0.3 + bias
    weights = np.exp(np.where(mask, scores, -np.inf))
    weights /= weights.sum(-1, keepdims=True)
    np.testing.assert_allclose(found, np.einsum("bhts,bhsk->bhtk", weights, value), atol=1e-5)


def test_every_option_of_self_attention_is_its_numpy_counterpart(randomize):
    heads, groups, width = 6, 2, 4
    layer = SelfAttention(D, heads, groups, width, use_bias=False, scale=0.4, query_key_norm=1e-3)
    layer.build(None)
    randomize(layer)
    (x,) = arrays((B, T, D))
    cosines, sines = rotary_tables(np.arange(T)[None], np.array([1.0, 0.1]))
    found, cache = layer(x, causal_mask(T), rotary=(cosines, sines))
    kernel, out, query_scale, key_scale = (
        ops.convert_to_numpy(weight)
        for weight in (
            layer.query_key_value.kernel,
            layer.out.kernel,
            layer.query_norm.scale,
            layer.key_norm.scale,
        )
    )

    def normal(y, scale):
        return y / np.sqrt((y**2).mean(-1, keepdims=True) + 1e-3) * scale

    def turned(y):
        pairs = y[..., :2] + 1j * y[..., 2:]
        angles = np.arange(T)[:, None] * np.array([1.0, 0.1])
        pairs = pairs * np.exp(1j * angles)
        return np.concatenate([pairs.real, pairs.imag], axis=-1)

    projected = (x @ kernel).reshape(B, T, heads + 2 * groups, width).swapaxes(1, 2)
    query, key, value = np.split(projected, [heads, heads + groups], axis=1)
    query, key = turned(normal(query, query_scale)), turned(normal(key, key_scale))
    np.testing.assert_allclose(cache["key"], key, atol=1e-4)
    np.testing.assert_allclose(cache["value"], value, atol=1e-4)
    key, value = (np.repeat(y, heads // groups, axis=1) for y in (key, value))
    scores = np.einsum("bhtk,bhsk->bhts", query, key) * 0.4
    weights = np.exp(np.where(np.tril(np.ones((T, T), bool)), scores, -np.inf))
    weights /= weights.sum(-1, keepdims=True)
    context = np.einsum("bhts,bhsk->bhtk", weights, value)
    expected = context.swapaxes(1, 2).reshape(B, T, heads * width) @ out
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_one_row_a_source_known_in_advance_changes_nothing(cross_attention):
    layer = cross_attention()
    x, memory = arrays((B, 1, D), (B, S, D))
    projected = layer.project_memory(memory)
    expected = layer(x, projected)
    np.testing.assert_allclose(layer(x, projected, rows_per_source=1), expected, atol=1e-6)


def test_cross_attention_gives_the_mean_of_its_heads_weights(cross_attention):
    layer, n = cross_attention(), 7
    x, memory = arrays((n * B, T, D), (B, S, D))
    padding_mask = np.array([[True, True, False, True, False], [True, False, True, True, True]])
    projected, mask = layer.project_memory(memory), key_padding_mask(padding_mask)
    found, weights = layer(x, projected, mask, return_weights=True)
    np.testing.assert_allclose(found, layer(x, projected, mask), atol=1e-6)
    assert weights.shape == (n * B, T, S)
    np.testing.assert_allclose(np.sum(weights, axis=-1), 1.0, rtol=1e-5)
    assert not np.asarray(weights)[np.repeat(~padding_mask, n, axis=0)[:, None].repeat(T, 1)].any()
    ((kernel, bias),) = projection(layer.query)
    (key_kernel, key_bias), _ = projection(layer.key_value, 2)
    query, key = heads(x[-1:], kernel, bias), heads(memory[1:], key_kernel, key_bias)
    plain = numpy_attend(query, key, np.eye(S)[None, None].repeat(H, 1), padding_mask[1])
    np.testing.assert_allclose(weights[-1], plain[0].mean(axis=0), atol=1e-5)
