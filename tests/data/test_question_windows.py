import logging

import pytest

from tflm.data.question_windows import IS_ANSWER, QuestionReport, QuestionWindows
from tflm.data.squad import QuestionExample, SpanAnswer
from tflm.tokenizers import WordPieceTokenizer
from tflm.tokenizers.passages import PassageReader

WORDS = "ann bob lives in berlin rome . where does live ? 安 娜 在 北 京".split()


def example(question, context, *answers, **kwargs):
    spans = tuple(SpanAnswer(answer, context.index(answer)) for answer in answers)
    return QuestionExample(question, context, spans, **kwargs)


@pytest.fixture(scope="module")
def reader():
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    return PassageReader(WordPieceTokenizer([*special, *WORDS]), 30, 6, 9)


def answers_of(windows):
    """The words of the answer in each window; `["[CLS]"]` where it is not there."""
    arrays, vocabulary = windows.arrays, windows.reader.tokenizer.vocabulary
    found = []
    for begin, (first, last) in zip(arrays.splits, arrays.places, strict=False):
        assert (arrays.flags[[begin + first, begin + last]] & IS_ANSWER).all()
        ids = arrays.token_ids[begin + first : begin + last + 1]
        found.append([vocabulary[id_] for id_ in ids])
    return found


def test_windows_have_the_answer_or_say_that_they_do_not(reader):
    examples = [
        example("where does ann live?", "Ann lives in Berlin.", "Berlin"),
        example("安娜在?", "安娜在北京。", "北京"),
        example("where?", "bob " * 40 + "in Rome", "Rome"),
        example("where does bob live?", "Ann lives in Berlin.", is_impossible=True),
    ]
    windows = QuestionWindows(examples, reader)
    assert answers_of(windows) == [["berlin"], ["北", "京"], ["[CLS]"], ["rome"], ["[CLS]"]]
    assert windows.report == QuestionReport(4, 0, 0, 5, 2)
    assert windows.arrays.lengths.tolist() == [13, 13, 30, 30, 13]
    assert windows.arrays.second.tolist() == [7, 6, 4, 4, 7]


def test_windows_are_those_of_the_reader_without_padding(reader):
    texts = [("where?", "Ann lives in Rome."), ("安娜?", "安娜在北京" * 3)]
    windows = QuestionWindows(
        [QuestionExample(*each, is_impossible=True) for each in texts], reader
    )
    inputs = reader.read(*zip(*texts, strict=True)).inputs
    mask = inputs["padding_mask"].numpy()
    assert windows.arrays.token_ids.tolist() == inputs["token_ids"].numpy()[mask].tolist()
    for bit in range(inputs["word_features"].shape[-1]):
        expected = inputs["word_features"].numpy()[..., bit][mask]
        assert ((windows.arrays.flags >> bit & 1) == expected).all()


def test_the_answer_of_most_people_is_learned_without_its_white_space(reader):
    context = "Ann lives in Berlin ."
    spans = [SpanAnswer("Ann", 0), SpanAnswer(" Berlin ", 12), SpanAnswer(" Berlin ", 12)]
    windows = QuestionWindows([QuestionExample("where?", context, tuple(spans))], reader)
    assert answers_of(windows) == [["berlin"]]


def test_what_cannot_be_learned_is_left_out_and_counted(reader, caplog):
    wrong = QuestionExample("where?", "Ann lives in Rome.", (SpanAnswer("Rome", 3),))
    moved = QuestionExample("where?", "Ann lives in Rome.", (SpanAnswer("Rome", 12),))
    no_answer = QuestionExample("where?", "Ann lives in Rome.")
    too_long = example("where?", "bob " * 30, "bob " * 27)
    windows = QuestionWindows([wrong, moved, no_answer, too_long], reader)
    with caplog.at_level(logging.WARNING):
        assert answers_of(windows) == [["rome"]]
    assert windows.report == QuestionReport(4, 2, 1, 1, 0)
    assert (windows.offsets.num_moved, windows.offsets.num_lost) == (1, 1)
    assert "Not every question can be learned" in caplog.text
    with pytest.raises(ValueError, match="must hold a question with its answer.*num_unanswered=1"):
        _ = QuestionWindows([no_answer], reader).arrays


def test_examples_that_cannot_be_read_are_refused(reader):
    with pytest.raises(TypeError, match="`examples` must be re-iterable.*list_iterator"):
        QuestionWindows(iter([]), reader)
    with pytest.raises(ValueError, match="must hold a question with its answer"):
        _ = QuestionWindows([], reader).arrays
