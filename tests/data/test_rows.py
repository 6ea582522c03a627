import numpy as np
import pytest
import tensorflow as tf

from tflm.data.rows import RowBatches, cut, padded, special_id
from tflm.tokenizers import SentencePieceTokenizer

TEXTS = ["two dogs", "a cat and a dog", "公园很大。", "", "six seven " * 5]
SIZE = {"sequence_length": 7, "tokens_per_batch": 15, "window": 30, "seed": 3}


class Rows(RowBatches):
    """Rows as they are, numbered."""

    def frame(self):
        return [2], [3]

    def rows(self, epoch):
        return self.continuous_rows(epoch, self.sequence_length)

    def batch(self, rows, epoch):
        ids, _ = padded([row for _, (row,) in rows], self.sequence_length, 0)
        draws = [self.generator(epoch, number).random() for number, _ in rows]
        return {"token_ids": ids}, np.array([number for number, _ in rows]), np.array(draws)

    def signature(self):
        ids = tf.TensorSpec((None, self.sequence_length), tf.int32)
        return {"token_ids": ids}, tf.TensorSpec([None], tf.int64), tf.TensorSpec([None])


@pytest.fixture(scope="module")
def tokenizer():
    return SentencePieceTokenizer.train(TEXTS, 400, "char")


def read(tokenizer, training, epoch=0, start=0, **changes):
    batches = Rows(TEXTS, tokenizer, training=training, **{**SIZE, **changes})
    found = list(batches.epoch(epoch, start).as_numpy_iterator())
    assert batches.num_batches(epoch) == start + len(found)
    columns = zip(*((x["token_ids"], y, w) for x, y, w in found), strict=True)
    return [np.concatenate(column) for column in columns]


def whole(tokenizer):
    """The texts as one, each in its frame."""
    ids = tokenizer.tokenize(TEXTS).to_list()
    return [id_ for row in ids if row for id_ in (2, *row, 3)]


@pytest.mark.parametrize("window", [30, 4_000_000])
def test_in_evaluation_the_rows_are_the_texts_in_order(tokenizer, window):
    ids, numbers, _ = read(tokenizer, False, window=window)
    assert ids.reshape(-1).tolist()[: len(whole(tokenizer))] == whole(tokenizer)
    assert numbers.tolist() == list(range(len(numbers)))


def test_in_training_rows_are_shuffled_and_cut_at_other_places_in_every_epoch(tokenizer):
    text = whole(tokenizer)
    starts = set()
    for epoch in range(4):
        ids, numbers, _ = read(tokenizer, True, epoch)
        rows = {tuple(row[row > 0].tolist()) for row in ids}
        places = [
            next(i for i in range(len(text)) if tuple(text[i : i + len(row)]) == row)
            for row in rows
        ]
        starts.add(min(places))
        assert sum(map(len, rows)) > len(text) - 7
        assert numbers.tolist() == list(range(len(numbers)))
    assert len(starts) > 1


def test_what_is_random_in_a_row_depends_on_seed_epoch_and_number_alone(tokenizer):
    first = read(tokenizer, True, epoch=2)
    np.testing.assert_array_equal(first[2], read(tokenizer, True, 2, tokens_per_batch=29)[2])
    np.testing.assert_array_equal(first[2][4:], read(tokenizer, True, 2, start=2)[2])
    assert first[2][0] != read(tokenizer, True, epoch=1)[2][0]
    assert first[2][0] != read(tokenizer, True, epoch=2, seed=4)[2][0]
    np.testing.assert_array_equal(read(tokenizer, False, 2)[2], read(tokenizer, False, 1)[2])


def test_what_a_subclass_must_say_is_asked_for(tokenizer):
    bare = RowBatches(TEXTS, tokenizer, training=True, **SIZE)
    assert bare.frame() == ([], [])
    for call in (
        lambda: next(bare.rows(0)),
        lambda: bare.batch([], 0),
        lambda: bare.signature(),
    ):
        with pytest.raises(NotImplementedError):
            call()


def test_texts_without_a_token_are_refused(tokenizer):
    with pytest.raises(ValueError, match="`texts` must hold at least one token"):
        Rows(["", ""], tokenizer, training=True, **SIZE).num_batches()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sequence_length": 0}, "`sequence_length` must be at least 1. .*sequence_length=0"),
        ({"window": 0}, "`window` must be at least 1. Received: window=0"),
        ({"tokens_per_batch": 6}, "`tokens_per_batch` must .*tokens_per_batch=6.*length=7"),
    ],
)
def test_numbers_out_of_range_are_refused(tokenizer, changes, message):
    with pytest.raises(ValueError, match=message):
        Rows(TEXTS, tokenizer, training=True, **{**SIZE, **changes})


@pytest.mark.parametrize("texts", [iter(TEXTS), "a text"])
def test_what_cannot_be_read_twice_is_refused(tokenizer, texts):
    with pytest.raises(TypeError, match="`texts` must be re-iterable"):
        Rows(texts, tokenizer, training=True, **SIZE)


def test_lists_are_cut_to_size_and_the_rest_is_kept():
    assert cut([1, 2, 3, 4, 5], 2, everything=False) == ([[1, 2], [3, 4]], [5])
    assert cut([1, 2, 3, 4, 5], 2, everything=True) == ([[1, 2], [3, 4], [5]], [])
    assert cut([], 2, everything=True) == ([], [])


def test_rows_are_filled_up():
    ids, real = padded([[5, 6], [], [7, 8, 9]], 4, 1)
    assert ids.tolist() == [[5, 6, 1, 1], [1, 1, 1, 1], [7, 8, 9, 1]]
    assert real.sum(axis=1).tolist() == [2, 0, 3]
    assert ids.dtype == np.int32


def test_the_first_special_id_that_there_is_counts(tokenizer):
    assert special_id(tokenizer, "cls_id", "bos_id") == 2
    assert special_id(tokenizer, "mask_id") is None
