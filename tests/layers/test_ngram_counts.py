import numpy as np
import pytest
from sklearn.naive_bayes import MultinomialNB

from tflm.layers.ngram_counts import NgramCounts

TEXTS = [[5, 9, 5, 9, 7], [9, 7, 3], [6, 5], [8, 8, 8, 6], [3, 9]]
LABELS = np.array([1, 1, 0, 0, 1])


def built(*args, **kwargs):
    layer = NgramCounts(*args, **kwargs)
    layer.build()
    return layer


def padded(texts, width):
    ids = np.zeros((len(texts), width), "int32")
    mask = np.zeros(ids.shape, bool)
    for row, text in enumerate(texts):
        ids[row, : len(text)], mask[row, : len(text)] = text, True
    return {"token_ids": ids, "padding_mask": mask}


def batches(labels):
    yield padded(TEXTS[:2], 6), labels[:2]
    yield padded(TEXTS[2:], 4), labels[2:], np.ones(3)


def ngram_set(text):
    return {tuple(text[i : i + n]) for n in (1, 2) for i in range(len(text) - n + 1)}


def test_ngrams_of_several_tokens_have_buckets_by_two_remainders():
    layer = built(40_000, 3, max_width=3)
    assert layer.num_buckets == 2**19
    text = [39_999, 4, 32_760]

    def bucket(ngram):
        keys = [0, 0]
        for token in ngram:
            keys = [(k * 31_337 + token) % p for k, p in zip(keys, (32_749, 32_719), strict=True)]
        return 40_000 + (keys[0] * 32_719 + keys[1]) % 2**19

    one, two, three = layer.ngrams(**padded([text], 5))
    assert np.asarray(one[0])[0, :3].tolist() == text
    assert np.asarray(two[0])[0, 1:3].tolist() == [bucket(text[:2]), bucket(text[1:])]
    assert np.asarray(three[0])[0, 2] == bucket(text)
    there = [np.asarray(mask)[0].tolist() for _, mask in (one, two, three)]
    for width, found in enumerate(there):
        assert found == [width <= t < 3 for t in range(5)]


def test_padding_on_the_left_makes_no_ngram():
    layer = built(29, 2)
    layer.ratios.assign(np.random.default_rng(0).normal(size=layer.ratios.shape))
    ids, mask = np.array([[0, 0, 7, 11]], "int32"), np.array([[False, False, True, True]])
    left = np.asarray(layer(ids, mask))
    np.testing.assert_allclose(left, np.asarray(layer(**padded([[7, 11]], 3))), rtol=1e-6)
    assert not np.asarray(layer(ids, np.zeros_like(mask))).any()


def test_counted_it_is_naive_bayes():
    layer = built(12, 2)
    layer.adapt(batches(LABELS))
    names = sorted(set().union(*map(ngram_set, TEXTS)))
    features = np.array([[name in ngram_set(text) for name in names] for text in TEXTS], int)
    reference = MultinomialNB(fit_prior=False).fit(features, LABELS)
    # Texts that have nothing twice, one with a token that nobody has seen.
    texts = [[9, 7, 3], [6, 5], [3, 9, 10]]
    seen = np.array([[name in ngram_set(text) for name in names] for text in texts], int)
    scores = reference.predict_joint_log_proba(seen)
    found = np.asarray(layer(**padded(texts, 4))) * np.array([[3], [2], [3]])
    np.testing.assert_allclose(found[:, 1], scores[:, 1] - scores[:, 0], atol=1e-5)
    np.testing.assert_allclose(found[:, 0], -found[:, 1], atol=1e-5)


@pytest.mark.parametrize("again", [1, 2])
def test_labels_of_their_own_are_counted_one_by_one(again):
    one, several = built(12, 2), built(12, 2)
    one.adapt(batches(LABELS))
    for _ in range(again):  # nothing is left of the first time
        several.adapt(batches(np.stack([1 - LABELS, LABELS], axis=1)))
    np.testing.assert_array_equal(one.ratios, several.ratios)
