import numpy as np
import pytest

from tflm.layers.copy_head import CopyHead, copy_distribution, overlap

B, BEAMS, T, S, D, V = 2, 3, 4, 5, 6, 11
MASK = np.array([[True] * 5, [True] * 2 + [False] * 3])
IDS = np.array([[7, 2, 7, 9, 2], [3, 7, 0, 0, 0]], "int32")


@pytest.fixture
def head(randomize):
    layer = CopyHead(D)
    layer.build(None)
    return randomize(layer)


def arrays(rows=B):
    random = np.random.default_rng(4)
    shapes = [(rows, T, D), (rows, T, V), (B, S, D)]
    return [random.normal(size=shape).astype("float32") for shape in shapes]


def softmax(x):
    weights = np.exp(x - x.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def test_it_is_the_papers_mixture(head):
    x, logits, memory = arrays()
    query, key, gate, bias = (np.array(weight) for weight in head.weights)
    scores = (x @ query) @ (memory @ key).swapaxes(1, 2) / np.sqrt(D)
    attention = softmax(np.where(MASK[:, None], scores, -np.inf))
    context = attention @ memory
    written = 1 / (1 + np.exp(-(np.concatenate([x, context], -1) @ gate + bias)))
    expected = written * softmax(logits)
    for row, step, place in np.ndindex(B, T, S):
        share = (1 - written[row, step, 0]) * attention[row, step, place]
        expected[row, step, IDS[row, place]] += share
    found, attended = head(x, logits, head.project_memory(memory), IDS, MASK)
    assert found.shape == (B, T, V)
    np.testing.assert_allclose(np.exp(found), expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(np.exp(found).sum(-1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(attended, attention, rtol=1e-4, atol=1e-6)


def test_the_beams_of_a_sentence_copy_from_its_source(head):
    x, logits, memory = arrays(B * BEAMS)
    found = head(x, logits, head.project_memory(memory), IDS, MASK)
    repeated = [np.repeat(each, BEAMS, axis=0) for each in (memory, IDS, MASK)]
    expected = head(x, logits, head.project_memory(repeated[0]), *repeated[1:])
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape[0] == B * BEAMS
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_a_source_of_one_token_is_copied_without_a_warning(head):
    x, logits, memory = arrays()
    found, attended = head(x, logits, head.project_memory(memory[:, :1]), IDS[:, :1], MASK[:, :1])
    np.testing.assert_allclose(np.exp(found).sum(-1), 1.0, rtol=1e-5)
    np.testing.assert_array_equal(attended, np.ones((B, T, 1)))


def test_attention_on_the_same_token_adds_up():
    attention = np.array([[[0.1, 0.2, 0.3, 0.25, 0.15]], [[0.6, 0.4, 0.0, 0.0, 0.0]]], "float32")
    found = np.array(copy_distribution(attention, IDS, V))
    expected = np.zeros((2, 1, V))
    expected[0, 0, [7, 2, 9]] = 0.4, 0.35, 0.25
    expected[1, 0, [3, 7]] = 0.6, 0.4
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_what_is_attended_to_again_is_the_coverage_loss_of_each_token():
    random = np.random.default_rng(2)
    attention = softmax(random.normal(size=(3, T, S)))
    covered = random.uniform(size=(3, S))
    expected, after = np.zeros((3, T)), covered.copy()
    for step in range(T):
        expected[:, step] = np.minimum(attention[:, step], after).sum(-1)
        after += attention[:, step]
    again, found = overlap(attention.astype("float32"), covered.astype("float32"))
    np.testing.assert_allclose(again, expected, rtol=1e-5)
    np.testing.assert_allclose(found, after, rtol=1e-5)


def test_its_config_builds_it_again(assert_round_trip):
    again = assert_round_trip(CopyHead, hidden_dim=D)
    assert [tuple(weight.shape) for weight in again.weights] == [(D, D), (D, D), (2 * D, 1), (1,)]


def test_it_computes_in_bfloat16_and_keeps_float32(assert_mixed):
    layer = CopyHead(D, dtype="mixed_bfloat16")
    layer.build(None)
    assert_mixed(layer)
    x, logits, memory = arrays()
    found, attended = layer(x, logits, layer.project_memory(memory), IDS, MASK)
    assert (found.dtype, attended.dtype) == ("bfloat16", "bfloat16")
