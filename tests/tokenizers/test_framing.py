import types

import pytest
import tensorflow as tf

from tflm.tokenizers.framing import Frame

BERT = types.SimpleNamespace(cls_id=1, sep_id=2, bos_id=None, eos_id=None)
ROBERTA = types.SimpleNamespace(cls_id=1, sep_id=2, bos_id=1, eos_id=2)
SENTENCE_PIECE = types.SimpleNamespace(bos_id=1, eos_id=2)
MARIAN = types.SimpleNamespace(bos_id=-1, eos_id=2)
NOTHING = types.SimpleNamespace(bos_id=-1, eos_id=None)


def join(tokenizer, first, second=None, max_length=20):
    first, second = (
        None if rows is None else tf.ragged.constant(rows, dtype=tf.int32, ragged_rank=1)
        for rows in (first, second)
    )
    ids, own, cut = Frame(tokenizer).join(first, second, max_length)
    assert (ids.dtype, own.dtype, cut.dtype) == (tf.int32, tf.int32, tf.bool)
    return ids.to_list(), own.numpy().tolist(), cut.numpy().tolist()


@pytest.mark.parametrize(
    "tokenizer, expected, pair",
    [
        (BERT, [1, 7, 8, 2], [1, 7, 8, 2, 9, 2]),
        (ROBERTA, [1, 7, 8, 2], [1, 7, 8, 2, 2, 9, 2]),
        (SENTENCE_PIECE, [1, 7, 8, 2], [1, 7, 8, 2, 9, 2]),
        (MARIAN, [7, 8, 2], [7, 8, 2, 9, 2]),
    ],
)
def test_texts_stand_between_the_tokens_their_tokenizer_has(tokenizer, expected, pair):
    assert join(tokenizer, [[7, 8]]) == ([expected], [len(expected)], [False])
    ids, own, _ = join(tokenizer, [[7, 8]], [[9]])
    assert ids == [pair]
    assert own == [len(pair) - 2]  # the last text and its end are the second segment


def test_rows_of_all_lengths_are_framed_at_once():
    rows, own, cut = join(BERT, [[], [7, 8, 9], [7]], [[5], [], [6, 5]])
    assert rows == [[1, 2, 5, 2], [1, 7, 8, 9, 2, 2], [1, 7, 2, 6, 5, 2]]
    assert own == [2, 5, 3]
    assert cut == [False] * 3
    assert join(BERT, tf.zeros([0, 0], tf.int32).numpy().tolist()) == ([], [], [])


def test_a_text_loses_its_end_and_says_so():
    rows, own, cut = join(BERT, [[7, 8, 9, 5], [7, 8]], max_length=4)
    assert rows == [[1, 7, 8, 2], [1, 7, 8, 2]]
    assert (own, cut) == ([4, 4], [True, False])


def longest_first(a, b, room):
    while a + b > room:
        a, b = (a - 1, b) if a > b else (a, b - 1)
    return a, b


@pytest.mark.parametrize("room", [2, 5, 8])
def test_the_longer_text_of_a_pair_loses_first(room):
    sizes = [(a, b) for a in range(8) for b in range(8)]
    first = [[7] * a for a, _ in sizes]
    second = [[8] * b for _, b in sizes]
    rows, _, cut = join(BERT, first, second, max_length=room + 3)
    assert [(row.count(7), row.count(8)) for row in rows] == [
        longest_first(a, b, room) for a, b in sizes
    ]
    assert cut == [a + b > room for a, b in sizes]


def test_a_graph_gives_the_same():
    frame = Frame(ROBERTA)
    ragged = tf.RaggedTensorSpec([None, None], tf.int32)

    @tf.function(input_signature=[ragged, ragged])
    def joined(first, second):
        return frame.join(first, second, 9)[0].to_tensor(0)

    first = tf.ragged.constant([[7, 8, 9, 5, 6], [7]], dtype=tf.int32)
    second = tf.ragged.constant([[3, 4], [3]], dtype=tf.int32)
    expected, _, _ = frame.join(first, second, 9)
    assert joined(first, second).numpy().tolist() == expected.to_tensor(0).numpy().tolist()


def test_a_tokenizer_without_any_such_token_is_refused():
    with pytest.raises(ValueError, match="`tokenizer` must have one of cls, bos, sep and eos"):
        Frame(NOTHING)
    only_start = Frame(types.SimpleNamespace(bos_id=1))
    assert only_start.num_special(pair=False) == 1
    with pytest.raises(ValueError, match="must have sep or eos to separate two texts"):
        only_start.num_special(pair=True)


def test_special_ids_are_listed_once():
    assert Frame(ROBERTA).special_ids == (1, 2)
    assert Frame(MARIAN).special_ids == (2,)
