import numpy as np
import pytest

from tflm.layers.context_query_attention import ContextQueryAttention

B, T, Q, D = 2, 6, 3, 4
CONTEXT_MASK = np.array([[True] * 6, [True, False, True, True, False, False]])
QUERY_MASK = np.array([[True, True, False], [True] * 3])


def arrays():
    random = np.random.default_rng(4)
    return [random.normal(size=(B, n, D)).astype("float32") for n in (T, Q)]


@pytest.fixture
def attention(randomize):
    def build(**kwargs):
        layer = ContextQueryAttention(D, **kwargs)
        layer.build(None)
        return randomize(layer)

    return build


def softmax(scores, mask, axis):
    odds = np.where(mask, np.exp(scores), 0.0)
    return odds / odds.sum(axis=axis, keepdims=True)


def test_what_is_read_is_that_of_the_paper(attention):
    layer = attention()
    context, query = arrays()
    w_context, w_query = (
        np.asarray(part.kernel)[:, 0] for part in (layer.context_score, layer.query_score)
    )
    w = np.concatenate([w_query, w_context, np.asarray(layer.product_score)])
    for row in range(B):
        c, q = context[row], query[row]
        scores = np.array([[w @ np.concatenate([b, a, a * b]) for b in q] for a in c])
        to_query = softmax(scores, QUERY_MASK[row][None], 1)
        to_text = softmax(scores, CONTEXT_MASK[row][:, None], 0)
        a, b = to_query @ q, to_query @ to_text.T @ c
        expected = np.concatenate([c, a, c * a, c * b], axis=-1)
        found = layer(context, query, CONTEXT_MASK, QUERY_MASK)
        assert found.shape == (B, T, 4 * D)
        np.testing.assert_allclose(found[row], expected, rtol=1e-4, atol=1e-5)


def test_what_is_masked_is_inert(attention):
    layer = attention()
    context, query = arrays()
    expected = np.asarray(layer(context, query, CONTEXT_MASK, QUERY_MASK))
    noisy = [
        np.where(mask[..., None], x, x + 5.0)
        for x, mask in ((context, CONTEXT_MASK), (query, QUERY_MASK))
    ]
    found = np.asarray(layer(*noisy, CONTEXT_MASK, QUERY_MASK))
    np.testing.assert_allclose(found[CONTEXT_MASK], expected[CONTEXT_MASK], atol=1e-5)


def test_attention_computes_in_the_policys_dtype(attention, assert_mixed):
    layer = attention(dtype="mixed_bfloat16")
    context, query = arrays()
    assert layer(context, query, CONTEXT_MASK, QUERY_MASK).dtype == "bfloat16"
    assert_mixed(layer)


def test_attention_survives_a_round_trip(assert_round_trip):
    assert assert_round_trip(ContextQueryAttention, hidden_dim=6).hidden_dim == 6
