import numpy as np
import pytest

from tflm import models
from tflm.models.text_cnn import Config, TextCNN

# The first differs from the default in every field.
CONTRACT = [
    {
        "vocab_size": 29,
        "embedding_dim": 10,
        "hidden_dim": 12,
        "min_width": 2,
        "max_width": 4,
        "dropout": 0.2,
        "word_dropout": 0.15,
        "embedding_dropout": 0.1,
    },
    {"vocab_size": 29, "embedding_dim": 10, "hidden_dim": 12},
]


def test_the_paper_s_network_has_a_hundred_features_of_each_width():
    model = models.build("text_cnn/base")
    model.build(None)
    assert [part.kernel.shape for part in model.convolutions] == [
        (width, 300, 100) for width in (3, 4, 5)
    ]
    assert np.abs(np.std(model.embedding.embeddings) - 0.5 / 12**0.5) < 1e-3


def test_features_are_windows_times_kernels_cut_off_at_zero():
    model = TextCNN(Config(vocab_size=29, embedding_dim=3, hidden_dim=8, min_width=2, max_width=3))
    model.build(None)
    random = np.random.default_rng(4)
    for weight in model.weights:
        weight.assign(random.normal(0.1, 0.5, weight.shape))
    ids = np.array([[4, 9, 2, 7]], "int32")
    vectors = np.asarray(model.embedding.embeddings)[ids[0]]
    found = np.asarray(model({"token_ids": ids, "padding_mask": ids > 0}))[0]
    kernel, bias = (np.asarray(weight) for weight in model.convolutions[1].weights)
    padded = np.pad(vectors, ((1, 1), (0, 0)))
    for t in range(4):
        window = np.einsum("ke,keu->u", padded[t : t + 3], kernel) + bias
        np.testing.assert_allclose(found[t, 4:], np.maximum(window, 0), atol=1e-5)


def test_training_loses_whole_words_or_single_values():
    ids = np.full((1, 400), 7, "int32")
    lost = {}
    for name in ("word_dropout", "embedding_dropout"):
        sizes = {"embedding_dim": 5, "hidden_dim": 6, "min_width": 1, "max_width": 1}
        model = TextCNN(Config(vocab_size=29, **sizes, **{name: 0.4}))
        model.build(None)
        kernel, _ = model.convolutions[0].weights
        kernel.assign(np.eye(5, 6)[None])
        model.embedding.embeddings.assign(np.full((29, 5), 0.6))
        inputs = {"token_ids": ids, "padding_mask": ids > 0}
        seen = np.asarray(model(inputs))[0, :, :5]
        np.testing.assert_allclose(seen, 0.6, rtol=1e-6)
        kept = np.asarray(model(inputs, training=True))[0, :, :5]  # a feature is a value
        assert 0.3 < (kept == 0).mean() < 0.5
        # A rate of single values is a number of 256ths.
        rate = 0.4 if name == "word_dropout" else 102 / 256
        np.testing.assert_allclose(kept[kept > 0], 0.6 / (1 - rate), rtol=1e-6)
        lost[name] = (kept == 0).mean(axis=1)
    assert set(lost["word_dropout"]) == {0.0, 1.0}
    assert set(lost["embedding_dropout"]) > {0.2, 0.4, 0.6}


def test_widths_and_features_must_fit():
    with pytest.raises(ValueError, match="`min_width` must be from 1 .*min_width=4, max_width=3"):
        Config(min_width=4, max_width=3)
    with pytest.raises(ValueError, match="`min_width` must be from 1 to .*min_width=0"):
        Config(min_width=0)
    with pytest.raises(ValueError, match="`hidden_dim` must be a multiple .*=100, 3 widths"):
        Config(hidden_dim=100)
