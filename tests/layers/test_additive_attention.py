import numpy as np
import pytest

from tflm.layers.additive_attention import AdditiveAttention

B, BEAMS, T, S, Q, M, A = 2, 3, 4, 5, 6, 7, 8
MASK = np.array([[True] * 5, [True] * 2 + [False] * 3])


def arrays(*shapes):
    random = np.random.default_rng(4)
    return [random.normal(size=shape).astype("float32") for shape in shapes]


@pytest.fixture
def attention(randomize):
    def build(**kwargs):
        layer = AdditiveAttention(Q, M, A, **kwargs)
        layer.build(None)
        return randomize(layer)

    return build


def test_scores_are_those_of_the_paper(attention):
    layer = attention()
    query, memory = arrays((B, T, Q), (B, S, M))
    w, u, v = (np.array(part.kernel) for part in (layer.query, layer.key, layer.score))
    expected = np.zeros((B, T, M))
    for row in range(B):
        for t in range(T):
            scores = [(np.tanh(query[row, t] @ w + k @ u) @ v)[0] for k in memory[row]]
            weights = np.where(MASK[row], np.exp(scores), 0.0)
            expected[row, t] = weights / weights.sum() @ memory[row]
    found = layer(query, layer.project_memory(memory), MASK)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_the_beams_of_a_sentence_share_its_memory(attention):
    layer = attention()
    query, memory = arrays((B * BEAMS, T, Q), (B, S, M))
    found = layer(query, layer.project_memory(memory), MASK)
    repeated = np.repeat(memory, BEAMS, axis=0)
    expected = layer(query, layer.project_memory(repeated), np.repeat(MASK, BEAMS, axis=0))
    assert found.shape == (B * BEAMS, T, M)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_padded_memory_is_inert(attention):
    layer = attention()
    query, memory = arrays((B, T, Q), (B, S, M))
    found = np.array(layer(query, layer.project_memory(memory), MASK))
    alone = layer(query[1:], layer.project_memory(memory[1:, :2]))
    np.testing.assert_allclose(found[1:], alone, atol=1e-6)


def test_attention_computes_in_the_policys_dtype(attention, assert_mixed):
    layer = attention(dtype="mixed_bfloat16")
    query, memory = arrays((B, T, Q), (B, S, M))
    assert layer(query, layer.project_memory(memory), MASK).dtype == "bfloat16"
    assert_mixed(layer)


def test_attention_survives_a_round_trip(assert_round_trip):
    again = assert_round_trip(AdditiveAttention, query_dim=6, memory_dim=7, units=8)
    assert again.units == 8
