import numpy as np
import pytest

from tflm import models
from tflm.models.qanet import Config, QANet

# It differs from the default in every field.
CONTRACT = [
    {
        "vocab_size": 29,
        "embedding_dim": 10,
        "num_features": 5,
        "max_question_length": 9,
        "hidden_dim": 12,
        "num_heads": 3,
        "num_embedding_blocks": 2,
        "num_embedding_convolutions": 1,
        "embedding_kernel_size": 3,
        "num_model_blocks": 1,
        "num_model_convolutions": 4,
        "model_kernel_size": 7,
        "num_readings": 2,
        "dropout": 0.2,
        "embedding_dropout": 0.3,
    },
]
B, T, Q = 3, 11, 4  # the question and its special tokens are the first Q + 1


def built(**changes):
    model = QANet(Config(**{**CONTRACT[0], **changes}))
    model.build(None)
    random = np.random.default_rng(5)
    for weight in model.weights:
        weight.assign(random.normal(0.05, 0.35, weight.shape))
    return model


@pytest.fixture(scope="module")
def model():
    return built(max_question_length=6)


@pytest.fixture
def inputs():
    random = np.random.default_rng(0)
    mask = np.arange(T) < np.array([11, 9, 7])[:, None]
    return {
        "token_ids": np.where(mask, random.integers(4, 29, (B, T)), 0).astype("int32"),
        "padding_mask": mask,
        "segment_ids": (mask & (np.arange(T) > Q)).astype("int32"),
        "word_features": random.integers(0, 2, (B, T, 5)).astype(bool),
    }


def hidden_of(model, inputs, **changes):
    return np.asarray(model({**inputs, **changes}))


def test_the_published_size_has_seven_blocks_of_two_convolutions():
    d, heads_and_feed_forward = 128, 6 * (128 * 128 + 128) + 4 * 128
    blocks = sum(
        number * (convolutions * (width * d + d * d + 3 * d) + heads_and_feed_forward)
        for number, convolutions, width in ((1, 4, 7), (7, 2, 5))
    )
    rest = (306 * d + d) + 3 * d + (4 * d * d + d) + (3 * d * d + d) + 2 * d
    assert models.num_parameters("qanet/base") == 16000 * 300 + blocks + rest


def test_padding_beside_two_segments_is_inert(model, inputs):
    expected = hidden_of(model, inputs)
    mask = inputs["padding_mask"]
    longer = {
        name: np.pad(x, ((0, 0), (0, 3)) + ((0, 0),) * (x.ndim - 2)) for name, x in inputs.items()
    }
    found = hidden_of(model, longer)[:, :T]
    np.testing.assert_allclose(found[mask], expected[mask], atol=1e-4)


def test_the_text_is_read_with_the_question_in_mind(model, inputs):
    expected = hidden_of(model, inputs)
    for place in range(1, Q + 1):
        ids = inputs["token_ids"].copy()
        ids[0, place] = 4 + (ids[0, place] - 3) % 25
        moved = np.abs(hidden_of(model, inputs, token_ids=ids) - expected).max(-1)
        assert moved[0, Q + 1 :].min() > 1e-5
        assert moved[1:].max() == 0


def test_a_question_is_looked_for_among_the_first_tokens_only(inputs):
    # Without embedding blocks the question is seen by that attention alone.
    model = built(num_embedding_blocks=0, max_question_length=6)
    segment_ids = np.zeros((B, T), "int32")
    segment_ids[:, 8:] = 1
    whole = {**inputs, "padding_mask": np.ones((B, T), bool), "segment_ids": segment_ids}
    expected = hidden_of(model, whole)
    for place in range(1, 8):
        ids = inputs["token_ids"].copy()
        ids[0, place] = 4 + (ids[0, place] - 3) % 25
        moved = np.abs(hidden_of(model, whole, token_ids=ids) - expected)[0, 8:].max()
        assert (moved > 1e-5) == (place < 6)


@pytest.mark.parametrize("feature", range(5))
def test_features_of_words_change_what_is_read(model, inputs, feature):
    expected = hidden_of(model, inputs)
    features = inputs["word_features"].copy()
    features[0, Q + 2, feature] ^= True
    moved = np.abs(hidden_of(model, inputs, word_features=features) - expected).max(-1)
    assert moved[0].max() > 1e-4 and moved[1:].max() == 0


def test_without_features_they_are_zeros(model, inputs):
    zeros = np.zeros((B, T, 5), bool)
    expected = hidden_of(model, inputs, word_features=zeros)
    np.testing.assert_array_equal(hidden_of(model, inputs, word_features=None), expected)


def test_each_reading_goes_on_from_the_one_before(inputs):
    sizes = {**CONTRACT[0], "dropout": 0.0, "num_readings": 1}
    counts = [QANet(Config(**{**sizes, "num_readings": n})) for n in (1, 2, 3)]
    for each in counts:
        each.build(None)
    # The blocks are shared: a reading costs a part of the last layer alone.
    first, second, third = (each.count_params() for each in counts)
    assert second - first == third - second == 12 * 12
