import random

import numpy as np
import pytest

from tflm.data.cleaning.near_duplicates import NearDuplicates, band_size, resemblance, signature


def kept(rows, **parameters):
    apply = NearDuplicates(**parameters).begin(len(rows[0]))
    return [row for row in rows if apply(row) is not None]


def estimate(ours, theirs):
    return resemblance(*(signature(row).astype(np.uint8).tobytes() for row in (ours, theirs)))


def jaccard(ours, theirs):
    first, second = ({text[i : i + 3] for i in range(len(text) - 2)} for text in (ours, theirs))
    return len(first & second) / len(first | second)


@pytest.fixture(scope="module")
def sentences():
    """Random sentences in Latin letters and in Han characters."""
    generator = random.Random(5)
    return [
        "".join(generator.choices(letters, k=generator.randint(30, 90)))
        for letters in ("abcdefghij klmnop", "的一是不了人我在有他这为之大来以个中上们")
        for _ in range(60)
    ]


def test_the_estimate_is_the_share_of_common_n_grams(sentences):
    errors = []
    for text in sentences:
        changed = text[:20] + "x" + text[21:-3]
        errors.append(estimate((text,), (changed,)) - jaccard(text, changed))
    assert abs(np.mean(errors)) < 0.015
    assert np.std(errors) < 0.05


def test_near_duplicates_of_a_row_are_dropped_and_others_kept(sentences):
    rows = [(text,) for text in sentences]
    assert kept(rows) == rows
    copies = [(f"{text}!".upper().replace(" ", "  "),) for text in sentences]
    assert kept([*rows, *copies]) == rows


def test_chinese_sentences_that_differ_in_a_character_are_near_duplicates():
    first = "我们昨天下午在北京的一家小饭馆里吃了一顿很好吃的午饭。"
    second, other = first.replace("昨天", "今天"), "他明天早上要坐飞机去上海参加一个重要的会议。"
    assert kept([(first,), (second,), (other,)], threshold=0.7) == [(first,), (other,)]
    assert kept([(first,), (second,)], threshold=0.99) == [(first,), (second,)]


def test_short_texts_and_emoji_are_told_apart():
    rows = [("😀",), ("😂",), ("好",), ("a",), ("ab",), ("👩‍👧",)]
    assert kept([*rows, *rows]) == rows


def test_a_text_counts_in_its_place():
    assert kept([("water", "水"), ("水", "water")]) == [("water", "水"), ("水", "water")]
    assert estimate(("water",), ("Wa ter",)) == 1.0


def test_only_the_latest_rows_are_remembered(sentences):
    first, second, third = ((text,) for text in sentences[:3])
    assert kept([first, second, third, first], window=2) == [first, second, third, first]
    assert kept([first, second, third, second], window=2) == [first, second, third]


def test_a_long_text_has_the_signature_of_its_n_grams():
    text = "".join(random.Random(2).choices("abcd", k=9000))
    assert estimate((text,), (text[4500:] + text[:4500],)) > 0.9
    assert signature((text,)).shape == (128,)


def test_bands_are_smaller_where_less_must_agree():
    assert [band_size(threshold) for threshold in (0.05, 0.5, 0.8, 0.9, 0.99, 1.0)] == [
        1, 1, 5, 11, 16, 16,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"threshold": 0.0}, "`threshold` must be above 0 and at most 1. Received: threshold=0.0"),
        ({"threshold": 1.1}, "`threshold` must be above 0 .* threshold=1.1"),
        ({"ngram": 0}, "`ngram` must be at least 1. Received: 0"),
        ({"window": -1}, "`window` must be at least 1. Received: -1"),
    ],
)
def test_parameters_out_of_range_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        NearDuplicates(**parameters)
