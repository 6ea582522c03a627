import numpy as np
import pytest
import tensorflow as tf

from tflm.tokenizers import BytePairTokenizer, SentencePieceTokenizer, WordPieceTokenizer
from tflm.tokenizers.passages import PassageReader, find_answers
from tflm.tokenizers.word_offsets import WordFinder

WORDS = "ann wrote it in berlin . who ? 安 娜 在 北 京 写 了 它 。".split()
CONTEXT = "Ann wrote it in Berlin. 安娜在北京写了它。"


@pytest.fixture(scope="module")
def wordpiece():
    return WordPieceTokenizer(
        ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, "ber", "##lin"]
    )


@pytest.fixture(scope="module")
def readers(wordpiece):
    lines = [" ".join(WORDS), CONTEXT] * 4
    tokenizers = {
        "wordpiece": wordpiece,
        "bpe": SentencePieceTokenizer.train(lines, 320),
        "char": SentencePieceTokenizer.train(lines, 320, "char"),
        "byte_pair": BytePairTokenizer.train(lines, 280),
    }
    return {name: PassageReader(each, 30, 6, 9) for name, each in tokenizers.items()}


def read(reader, questions, contexts):
    return reader.read(tf.constant(questions, tf.string), tf.constant(contexts, tf.string))


def test_a_window_is_a_question_and_a_context_between_special_tokens(wordpiece):
    passages = read(PassageReader(wordpiece, 30, 6, 9), ["Who? 北"], ["Ann, Berlin 北"])
    vocabulary = wordpiece.vocabulary
    tokens = [vocabulary[id_] for id_ in passages.inputs["token_ids"].numpy()[0]]
    who, rest = ["[CLS]", "who", "?", "北", "[SEP]"], ["ann", "[UNK]", "berlin", "北", "[SEP]"]
    assert tokens == who + rest
    inputs = {name: value.numpy()[0].astype(int) for name, value in passages.inputs.items()}
    assert inputs["segment_ids"].tolist() == [0] * 5 + [1] * 5
    assert inputs["answer_mask"].tolist() == [1, 0, 0, 0, 0, 1, 1, 1, 1, 0]
    assert inputs["padding_mask"].tolist() == [1] * 10
    exact, _, _, _, capital, _ = inputs["word_features"].T.tolist()
    assert exact == [0, 0, 0, 1, 0, 0, 0, 0, 1, 0]
    assert capital == [0, 1, 0, 0, 0, 1, 0, 1, 0, 0]
    assert passages.starts.numpy()[0, 5:9].tolist() == [0, 3, 5, 12]
    assert passages.ends.numpy()[0, 5:9].tolist() == [3, 4, 11, 13]
    assert not passages.truncated.numpy()[0]


@pytest.mark.parametrize("name", ["wordpiece", "bpe", "char", "byte_pair"])
def test_every_word_of_a_context_can_begin_and_end_an_answer(readers, name):
    contexts = [CONTEXT, "", "  ", "安" * 50, "😀 Ann\u0301 berlin " * 5]
    passages = read(readers[name], ["who?"] * len(contexts), contexts)
    mask, starts, ends = (
        value.numpy() for value in (passages.inputs["answer_mask"], passages.starts, passages.ends)
    )
    words = WordFinder().find(tf.constant(contexts))
    splits = words.row_splits.numpy()
    for row in range(len(contexts)):
        of_row = mask & (passages.rows.numpy() == row)[:, None] & (ends > 0)
        found = set(zip(starts[of_row].tolist(), ends[of_row].tolist(), strict=True))
        own = slice(splits[row], splits[row + 1])
        expected = zip(words.starts.numpy()[own], words.ends.numpy()[own], strict=True)
        assert found == {(int(start), int(end)) for start, end in expected}


def test_words_have_the_ids_that_they_have_in_a_text(readers, wordpiece):
    text = "who wrote it in berlin"
    for name in ("wordpiece", "byte_pair"):
        reader = readers[name]
        ids = reader.tokenizer.tokenize([text]).to_list()[0]
        row = read(reader, [""], [text]).inputs["token_ids"].numpy()[0].tolist()
        assert row[-len(ids) - 1 : -1] == ids


@pytest.mark.parametrize("size", [0, 1, 17, 18, 19, 40, 97])
def test_windows_overlap_and_the_last_one_ends_at_the_end(wordpiece, size):
    # 3 special tokens and 9 of the question leave room for 18.
    context = " ".join(WORDS[i % len(WORDS)] for i in range(size))
    passages = read(PassageReader(wordpiece, 30, 6, 9), ["it " * 20], [context])
    assert passages.truncated.numpy().tolist() == [True]
    shape = passages.inputs["token_ids"].shape
    assert shape[1] == min(30, 12 + size)
    assert shape[0] == 1 + -(-max(size - 18, 0) // 12)
    places = [row[row >= 0].tolist() for row in pieces_of(passages)]
    assert sorted({place for row in places for place in row}) == list(range(size))
    assert all(len(row) == 18 for row in places[1:])
    for before, after in zip(places, places[1:], strict=False):
        assert len(set(before) & set(after)) >= 6
        assert after[0] > before[0]


def pieces_of(passages):
    """The number of each piece in its context, which has one piece a word; else -1."""
    ends = passages.ends.numpy()
    order = {end: number for number, end in enumerate(sorted({*ends.ravel()} - {0}))}
    return np.vectorize(lambda end: order.get(end, -1))(ends)


def test_answers_are_found_in_the_windows_that_hold_them_whole(readers):
    reader = readers["wordpiece"]
    context = "who ? " * 20 + "Ann Berlin. " + "it . " * 20
    start = context.index("Ann")
    passages = read(reader, ["who?", "who?"], [context, context])
    places = find_answers(passages, tf.constant([start, 0]), tf.constant([start + 10, 0])).numpy()
    rows = passages.rows.numpy()
    assert not places[rows == 1].any()
    holding = places[(rows == 0) & (places[:, 0] > 0)]
    assert len(holding)
    for row, (first, last) in enumerate(places):
        if first:
            begin, end = passages.starts.numpy()[row, first], passages.ends.numpy()[row, last]
            assert context[begin:end] == "Ann Berlin"
            assert last - first == 1


@pytest.mark.parametrize(
    "answer, word",
    [("北京", "北京"), ("nn wro", "Ann wrote"), ("erli", "Berlin"), ("。", "。"), ("娜在", "娜在")],
)
def test_an_answer_inside_a_word_stands_for_the_word(readers, answer, word):
    start = CONTEXT.index(answer)
    end = start + len(answer)
    for reader in readers.values():
        passages = read(reader, [""], [CONTEXT])
        places = find_answers(passages, tf.constant([start]), tf.constant([end])).numpy()
        row = int(np.argmax(places[:, 0]))
        first, last = places[row]
        found = slice(passages.starts.numpy()[row, first], passages.ends.numpy()[row, last])
        assert first > 0 and CONTEXT[found] == word


def test_a_graph_reads_batches_of_any_size(readers):
    reader = readers["bpe"]
    strings = [tf.TensorSpec([None], tf.string)] * 2
    traced = tf.function(reader.read, input_signature=strings, autograph=False)
    questions, contexts = ["who?", "", "安娜?"], [CONTEXT, CONTEXT * 3, ""]
    whole = traced(tf.constant(questions), tf.constant(contexts))
    for row in range(3):
        alone = traced(tf.constant(questions[row : row + 1]), tf.constant(contexts[row : row + 1]))
        own = whole.rows.numpy() == row
        width = alone.inputs["token_ids"].shape[1]
        for name, value in alone.inputs.items():
            np.testing.assert_array_equal(whole.inputs[name].numpy()[own][:, :width], value)
    none = traced(tf.constant([], tf.string), tf.constant([], tf.string))
    assert none.rows.shape == (0,) and none.inputs["token_ids"].shape == (0, 1)


def test_sizes_that_leave_windows_no_room_are_refused(wordpiece):
    with pytest.raises(
        ValueError, match=r"must be at least 19: 3 special .*sequence_length=18, ov"
    ):
        PassageReader(wordpiece, 18, 6, 9)
    with pytest.raises(ValueError, match=r"which are positive, and 1. Received: .*overlap=0"):
        PassageReader(wordpiece, 30, 0, 9)


def test_a_text_alone_has_the_pieces_that_it_has_in_a_window(readers):
    for reader in readers.values():
        found = reader.tokenize(tf.constant(["Ann 北", ""]))
        passages = read(reader, ["Ann 北"], [""])
        ids = passages.inputs["token_ids"].numpy()[0].tolist()
        assert found[0].numpy().tolist() == [each for each in ids if each not in reader.special_ids]
        assert found.row_lengths().numpy()[1] == 0
