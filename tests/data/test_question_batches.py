import numpy as np
import pytest

from tflm.data.question_batches import QuestionBatches
from tflm.data.question_windows import QuestionWindows
from tflm.data.squad import QuestionExample, SpanAnswer
from tflm.tokenizers import WordPieceTokenizer
from tflm.tokenizers.passages import PassageReader

WORDS = "ann bob lives in berlin rome . where does live ? 安 娜 在 北 京".split()


def example(question, context, *answers, **kwargs):
    spans = tuple(SpanAnswer(answer, context.index(answer)) for answer in answers)
    return QuestionExample(question, context, spans, **kwargs)


EXAMPLES = [
    example("where does ann live?", "Ann lives in Berlin.", "Berlin"),
    example("安娜在?", "安娜在北京。", "北京"),
    example("where?", "bob " * 40 + "in Rome", "Rome"),
    example("where does bob live?", "Ann lives in Berlin.", is_impossible=True),
    *(example("where?", "bob lives in Rome. " * n, "Rome") for n in range(1, 6)),
]


@pytest.fixture(scope="module")
def reader():
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    return PassageReader(WordPieceTokenizer([*special, *WORDS]), 30, 6, 9)


@pytest.fixture(scope="module")
def make(reader):
    def batches(examples=EXAMPLES, **options):
        options = {"training": True, "tokens_per_batch": 128, "seed": 3, **options}
        return QuestionBatches(QuestionWindows(examples, reader), **options)

    return batches


def windows(batches, epoch=0):
    """Every window of an epoch as its tokens and the words of its answer."""
    found = []
    for x, y, weight in batches.epoch(epoch).as_numpy_iterator():
        assert weight.shape == (len(y), 1) and (weight == 1).all()
        for row, (first, last) in enumerate(y):
            mask = x["padding_mask"][row]
            ids = x["token_ids"][row]
            assert x["answer_mask"][row, first] and x["answer_mask"][row, last]
            assert x["segment_ids"][row, [first, last]].tolist() == [int(first > 0)] * 2
            found.append((tuple(ids[mask].tolist()), tuple(ids[first : last + 1].tolist())))
    return found


def test_every_window_is_there_once_and_has_its_answer(make, reader):
    batches = make()
    found = windows(batches)
    assert len(found) == batches.windows.report.num_windows > len(EXAMPLES)
    vocabulary = reader.tokenizer.vocabulary
    words = [tuple(vocabulary[id_] for id_ in answer) for _, answer in found]
    assert words.count(("berlin",)) == 1 and words.count(("北", "京")) == 1
    assert words.count(("[CLS]",)) == 2
    assert sorted(found) == sorted(windows(batches, 1))


def test_batches_fit_the_budget_and_are_of_few_lengths(make):
    lengths = set()
    for x, _, _ in make().epoch(0).as_numpy_iterator():
        rows, length = x["token_ids"].shape
        assert rows * length <= 128
        assert all(value.shape[:2] == (rows, length) for value in x.values())
        lengths.add(length)
    assert lengths == {16, 32}


def test_arrays_are_those_that_the_reader_makes(make, reader):
    batches = make([EXAMPLES[1]], training=False)
    x, y, _ = next(batches.epoch(0).as_numpy_iterator())
    expected = reader.read([EXAMPLES[1].question], [EXAMPLES[1].context]).inputs
    for name, value in expected.items():
        width = value.shape[1]
        np.testing.assert_array_equal(x[name][:, :width], value)
        assert not x[name][:, width:].any()
    assert y.tolist() == [[9, 10]]


def test_epochs_differ_and_a_seed_repeats_them(make):
    whole = make()
    first, second = windows(whole, 0), windows(whole, 1)
    assert first != second
    assert windows(make(), 1) == second
    assert windows(make(seed=4), 1) != second


def test_an_epoch_goes_on_from_any_batch(make):
    batches = make()
    number = batches.num_batches(2)
    whole = [y.tolist() for _, y, _ in batches.epoch(2).as_numpy_iterator()]
    assert len(whole) == number > 2
    rest = [y.tolist() for _, y, _ in batches.epoch(2, 2).as_numpy_iterator()]
    assert rest == whole[2:]


def test_evaluation_goes_from_short_windows_to_long_ones(make):
    batches = make(training=False)
    lengths = [len(ids) for ids, _ in windows(batches)]
    assert lengths == sorted(lengths)
    assert windows(batches, 0) == windows(batches, 1)


def test_a_budget_without_room_for_a_window_is_refused(make):
    with pytest.raises(ValueError, match=r"must be at least 32, .*tokens_per_batch=31"):
        make(tokens_per_batch=31)
