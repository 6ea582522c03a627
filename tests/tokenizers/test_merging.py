import random

import pytest
import tensorflow as tf
from tokenizers import models

from tflm.tokenizers.merging import Merges


def apply(merges, words, vocab):
    spelled = {number: token for token, number in vocab.items()}
    ids = tf.ragged.constant([[vocab[c] for c in w] for w in words], tf.int32, ragged_rank=1)
    return [[spelled[i] for i in row] for row in merges.apply(ids).to_list()]


def merges_of(pairs, vocab):
    numbers = [(vocab[left], vocab[right]) for left, right in pairs]
    spelled = [b""] * (1 + max(vocab.values()))
    for token, number in vocab.items():
        spelled[number] = token.encode()
    return Merges(numbers, [vocab[left + right] for left, right in pairs], spelled)


def vocabulary(pairs, characters):
    return {t: n for n, t in enumerate(dict.fromkeys([*characters, *(a + b for a, b in pairs)]))}


def test_pairs_merge_in_the_order_learned_and_not_from_the_left():
    pairs = [("b", "c"), ("a", "b"), ("a", "bc")]
    vocab = vocabulary(pairs, "abcd")
    merges = merges_of(pairs, vocab)
    assert apply(merges, ["abc", "abd", "", "dd", "abcabd"], vocab) == [
        ["abc"],
        ["ab", "d"],
        [],
        ["d", "d"],
        ["abc", "ab", "d"],
    ]


def test_overlapping_pairs_merge_from_the_left():
    pairs = [("a", "a"), ("aa", "aa")]
    vocab = vocabulary(pairs, "ab")
    merged = apply(merges_of(pairs, vocab), ["a" * n for n in range(1, 10)] + ["baaab"], vocab)
    assert merged[4] == ["aaaa", "a"]
    assert merged[6] == ["aaaa", "aa", "a"]
    assert merged[-1] == ["b", "aa", "a", "b"]
    long = apply(merges_of(pairs, vocab), ["a" * 4003, "ab" * 50], vocab)
    assert long == [["aaaa"] * 1000 + ["aa", "a"], ["a", "b"] * 50]


def test_a_pair_waits_for_the_same_pair_that_is_still_to_come_on_its_left():
    pairs = [("a", "b"), ("ab", "ab")]
    vocab = vocabulary(pairs, "ab")
    merged = apply(merges_of(pairs, vocab), ["ababab", "bababab", "abaabab"], vocab)
    assert merged == [["abab", "ab"], ["b", "abab", "ab"], ["ab", "a", "abab"]]


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("seed", range(20))
def test_random_merges_give_what_the_library_gives(seed, ordered):
    """Also those no training would give: a token made twice, or used before it is made."""
    generator = random.Random(seed)
    tokens, pairs = list("abc"), []
    for _ in range(generator.randint(1, 18)):
        pair = generator.choice(tokens), generator.choice(tokens)
        if not ordered or "".join(pair) not in tokens:
            pairs.append(pair)
            tokens.append("".join(pair))
    if not ordered:
        generator.shuffle(pairs)
    vocab = vocabulary(pairs, "abc")
    words = ["".join(generator.choices("abc", k=generator.randint(1, 24))) for _ in range(150)]
    theirs = models.BPE(vocab, pairs)
    expected = [[token.value for token in theirs.tokenize(word)] for word in words]
    assert apply(merges_of(pairs, vocab), words, vocab) == expected


def test_without_merges_words_stay_as_they_are():
    vocab = {"a": 3, "b": 7}
    assert apply(merges_of([], vocab), ["ab", "b"], vocab) == [["a", "b"], ["b"]]


def test_no_words_are_no_ids():
    vocab = vocabulary([("a", "b")], "ab")
    assert apply(merges_of([("a", "b")], vocab), [], vocab) == []
