import collections

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tflm.data import PackedBatches
from tflm.data.packing import best_fit, special_id
from tflm.tokenizers import BytePairTokenizer, SentencePieceTokenizer

TEXTS = ["two dogs", "a cat and a dog and a cat", "公园很大。\n我喝茶。", "", "x", "six seven " * 9]
SIZE = {"sequence_length": 11, "tokens_per_batch": 34}


@pytest.fixture(scope="module")
def tokenizer():
    return SentencePieceTokenizer.train(TEXTS, 400, "char")


def rows(batches, epoch=0, start_batch=0):
    """The rows of an epoch: ids, labels, weights, segments or None."""
    found = []
    for x, y, weight in batches.epoch(epoch, start_batch).as_numpy_iterator():
        assert x["token_ids"].shape[0] <= 34 // 11
        np.testing.assert_array_equal(x["padding_mask"], weight == 1)
        segments = x.get("segment_ids", [None] * len(y))
        found += list(zip(x["token_ids"], y, weight, segments, strict=True))
    return found


def pairs(found):
    """How often each pair of token and label counts."""
    count = collections.Counter()
    for ids, labels, weight, _ in found:
        count.update(zip(ids[weight == 1].tolist(), labels[weight == 1].tolist(), strict=True))
    return count


def expected_pairs(tokenizer, texts):
    count = collections.Counter()
    for ids in tokenizer.tokenize(texts).to_list():
        ids = [tokenizer.bos_id, *ids, tokenizer.eos_id] if ids else []
        count.update(zip(ids[:-1], ids[1:], strict=True))
    return count


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("window", [4_000_000, 20])
def test_every_token_of_every_document_is_a_label_once(tokenizer, training, window):
    batches = PackedBatches(TEXTS, tokenizer, training=training, window=window, **SIZE)
    for epoch in (0, 1):
        assert pairs(rows(batches, epoch)) == expected_pairs(tokenizer, TEXTS)


def test_a_segment_is_a_document_or_a_part_of_one_and_nothing_else(tokenizer):
    batches = PackedBatches(TEXTS, tokenizer, training=False, **SIZE)
    whole = [
        [tokenizer.bos_id, *ids, tokenizer.eos_id] for ids in tokenizer.tokenize(TEXTS).to_list()
    ]
    shared = 0
    for ids, labels, weight, segments in rows(batches):
        np.testing.assert_array_equal(segments > 0, weight == 1)
        shared += segments.max() > 1
        for number in range(1, segments.max() + 1):
            inside = np.flatnonzero(segments == number)
            assert (np.diff(inside) == 1).all()
            part = [*ids[inside].tolist(), int(labels[inside[-1]])]
            np.testing.assert_array_equal(labels[inside], part[1:])
            assert any(
                part == text[start : start + len(part)]
                for text in whole
                for start in range(0, len(text), 11)
            )
    assert shared


@pytest.mark.parametrize("window", [4_000_000, 30])
def test_the_rows_of_a_continuous_text_follow_each_other(tokenizer, window):
    options = {"training": False, "continuous": True, "window": window}
    found = rows(PackedBatches(TEXTS, tokenizer, **options, **SIZE))
    text = tokenizer.tokenize(["".join(TEXTS)]).to_list()[0]
    read = [id_ for ids, _, weight, _ in found for id_ in ids[weight == 1].tolist()]
    written = [id_ for _, labels, weight, _ in found for id_ in labels[weight == 1].tolist()]
    assert read == text[:-1]
    assert written == text[1:]
    assert all(segments is None for *_, segments in found)


def test_a_continuous_text_is_cut_at_other_places_in_every_epoch(tokenizer):
    batches = PackedBatches(TEXTS, tokenizer, training=True, continuous=True, **SIZE)
    whole = pairs(rows(PackedBatches(TEXTS, tokenizer, training=False, continuous=True, **SIZE)))
    epochs = [pairs(rows(batches, epoch)) for epoch in range(4)]
    assert all(found <= whole for found in epochs)
    assert all(found.total() > whole.total() - 11 for found in epochs)
    starts = {min(tuple(ids) for ids, *_ in rows(batches, epoch)) for epoch in range(4)}
    assert len(starts) > 1


@pytest.mark.parametrize("continuous", [True, False])
def test_an_epoch_is_a_function_of_its_number_and_the_seed(tokenizer, continuous):
    def of(seed, epoch, start=0):
        batches = PackedBatches(
            TEXTS, tokenizer, training=True, continuous=continuous, seed=seed, **SIZE
        )
        assert batches.num_batches(epoch) == len(list(batches.epoch(epoch)))
        return [ids.tolist() for ids, *_ in rows(batches, epoch, start)]

    assert of(3, 2) == of(3, 2)
    assert of(3, 2) != of(4, 2)
    assert of(3, 2) != of(3, 1)
    assert of(3, 2, start=1) == of(3, 2)[3:]  # three rows are a batch


def test_a_text_shorter_than_a_row_is_padded(tokenizer):
    for training in (True, False):
        batches = PackedBatches(["dog"], tokenizer, training=training, continuous=True, **SIZE)
        ((ids, labels, weight, _),) = rows(batches)
        assert weight.tolist() == [1, 1] + [0] * 9
        assert tokenizer.detokenize([ids, labels]).numpy().tolist() == [b"do", b"og"]


def test_tokenizers_without_special_tokens_give_texts_without_ends():
    plain = BytePairTokenizer.train(TEXTS, 256, roles={})
    assert special_id(plain, "bos_id") is None
    found = rows(PackedBatches(["abc"], plain, training=False, **SIZE))
    assert sum(weight.sum() for _, _, weight, _ in found) == 2


def test_minus_one_is_no_special_id(tokenizer):
    class Without:
        bos_id = -1

    assert special_id(Without(), "bos_id") is None
    assert special_id(tokenizer, "bos_id") == 2


def test_texts_without_a_second_token_are_refused(tokenizer):
    batches = PackedBatches(["", ""], tokenizer, training=True, **SIZE)
    with pytest.raises(ValueError, match="`texts` must hold at least one token that follows"):
        batches.num_batches()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sequence_length": 0}, "`sequence_length` must be at least 1. .*sequence_length=0"),
        ({"window": 0}, "`window` must be at least 1. Received: window=0"),
        ({"tokens_per_batch": 10, "sequence_length": 11}, "`tokens_per_batch` must .*=10.*=11"),
    ],
)
def test_numbers_out_of_range_are_refused(tokenizer, options, message):
    with pytest.raises(ValueError, match=message):
        PackedBatches(TEXTS, tokenizer, training=True, **options)


@pytest.mark.parametrize("texts", [iter(TEXTS), "a text"])
def test_what_cannot_be_read_twice_is_refused(tokenizer, texts):
    with pytest.raises(TypeError, match="`texts` must be re-iterable"):
        PackedBatches(texts, tokenizer, training=True)


@given(st.lists(st.integers(1, 13), max_size=60))
@settings(max_examples=60, deadline=None)
def test_best_fit_places_every_item_once_where_there_is_room(lengths):
    found = best_fit(np.array(lengths, np.int64), 13)
    assert sorted(item for row in found for item in row) == list(range(len(lengths)))
    filled = [sum(lengths[item] for item in row) for row in found]
    assert all(total <= 13 for total in filled)
    assert sum(total <= 6 for total in filled) <= 1  # two such would have been one row


def test_best_fit_takes_the_fullest_row_with_room():
    assert best_fit(np.array([4, 7, 3, 6, 2]), 10) == [[1, 2], [3, 0], [4]]
