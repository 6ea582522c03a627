import numpy as np
import pytest

from tflm.layers.multiplicative_attention import MultiplicativeAttention, read_memory

B, BEAMS, T, S, Q, M = 2, 3, 4, 5, 6, 7
MASK = np.array([[True] * 5, [True] * 2 + [False] * 3])


def arrays(*shapes):
    random = np.random.default_rng(4)
    return [random.normal(size=shape).astype("float32") for shape in shapes]


def numpy_read(scores, value, mask):
    weights = np.exp(np.where(mask[:, None], scores, -np.inf))
    return weights / weights.sum(-1, keepdims=True) @ value


@pytest.fixture
def attention(randomize):
    def build(*arguments, **kwargs):
        layer = MultiplicativeAttention(*arguments, **kwargs)
        layer.build(None)
        return randomize(layer)

    return build


@pytest.mark.parametrize("scoring", ["general", "dot"])
def test_scores_are_products(attention, scoring):
    width = Q if scoring == "dot" else M
    layer = attention(Q, width, scoring)
    query, memory = arrays((B, T, Q), (B, S, width))
    weights = [np.array(weight) for weight in layer.weights]
    assert len(weights) == (scoring == "general")
    key = memory if scoring == "dot" else memory @ weights[0]
    expected = numpy_read(query @ key.swapaxes(1, 2), memory, MASK)
    found = layer(query, layer.project_memory(memory), MASK)
    assert found.shape == (B, T, width)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_the_beams_of_a_sentence_share_its_memory(attention):
    layer = attention(Q, M)
    query, memory = arrays((B * BEAMS, T, Q), (B, S, M))
    found = layer(query, layer.project_memory(memory), MASK)
    repeated = np.repeat(memory, BEAMS, axis=0)
    expected = layer(query, layer.project_memory(repeated), np.repeat(MASK, BEAMS, axis=0))
    assert found.shape == (B * BEAMS, T, M)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_padded_memory_is_inert(attention):
    layer = attention(Q, M)
    query, memory = arrays((B, T, Q), (B, S, M))
    found = np.array(layer(query, layer.project_memory(memory), MASK))
    alone = layer(query[1:], layer.project_memory(memory[1:, :2]))
    np.testing.assert_allclose(found[1:], alone, atol=1e-6)


def test_one_key_is_read_whole_and_nothing_but_padding_gives_no_nan():
    scores, value = arrays((B, T, 1), (B, 1, M))
    found = np.array(read_memory(scores, value))
    np.testing.assert_allclose(found, np.repeat(value, T, axis=1), atol=1e-6)
    scores, value = arrays((B, T, S), (B, S, M))
    assert np.isfinite(read_memory(scores, value, np.zeros((B, S), bool))).all()


def test_attention_computes_in_the_policys_dtype(attention, assert_mixed):
    layer = attention(Q, M, dtype="mixed_bfloat16")
    query, memory = arrays((B, T, Q), (B, S, M))
    assert layer(query, layer.project_memory(memory), MASK).dtype == "bfloat16"
    assert_mixed(layer)


def test_attention_survives_a_round_trip(assert_round_trip):
    again = assert_round_trip(MultiplicativeAttention, query_dim=6, memory_dim=6, scoring="dot")
    assert again.scoring == "dot"


def test_an_unknown_scoring_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"one of \['dot', 'general'\]. Received: scoring='sum'"):
        MultiplicativeAttention(Q, M, "sum")


def test_a_dot_product_needs_equal_widths():
    expected = "`query_dim` must equal `memory_dim` .* Received: query_dim=6, memory_dim=7"
    with pytest.raises(ValueError, match=expected):
        MultiplicativeAttention(Q, M, "dot")
