import logging

import numpy as np
import pytest

from tflm.data import LabelledBatches
from tflm.data.labelled import CutReport
from tflm.tokenizers import SentencePieceTokenizer

LABELS = ("negative", "positive", "mixed")
TEXTS = ["two dogs", "a cat and a dog", "公园很大。", "", "x", "six seven " * 3, "eight", "a b c d"]
ROWS = [(text, LABELS[i % 3]) for i, text in enumerate(TEXTS * 3)]
PAIRS = [(text, TEXTS[-i], LABELS[i % 3]) for i, text in enumerate(TEXTS)]
SIZE = {"tokens_per_batch": 60, "max_length": 17}


@pytest.fixture(scope="module")
def tokenizer():
    return SentencePieceTokenizer.train(TEXTS, 400, "char")


@pytest.fixture(scope="module")
def subwords():
    return SentencePieceTokenizer.train(["six seven eight dogs cat", *TEXTS], 290)


def examples(batches, epoch=0, start_batch=0):
    """Token ids without padding, label and weight of each example, in order."""
    found = []
    for x, y, weight in batches.epoch(epoch, start_batch).as_numpy_iterator():
        assert x["token_ids"].dtype == "int32" and x["padding_mask"].dtype == bool
        lengths = x["padding_mask"].sum(axis=1)
        np.testing.assert_array_equal(
            x["padding_mask"], np.arange(x["padding_mask"].shape[1]) < lengths[:, None]
        )
        rows = zip(x["token_ids"], lengths.tolist(), y.tolist(), weight.tolist(), strict=True)
        found += [(ids[:length].tolist(), label, w) for ids, length, label, w in rows]
    return found


def expected(tokenizer, rows=ROWS, most=15):
    ids = tokenizer.tokenize([row[0] for row in rows]).to_list()
    return [
        ([tokenizer.bos_id, *each[:most], tokenizer.eos_id], LABELS.index(row[1]), 1.0)
        for each, row in zip(ids, rows, strict=True)
    ]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("window", [100_000, 5])
def test_every_text_comes_once_with_its_label(tokenizer, training, window):
    batches = LabelledBatches(ROWS, tokenizer, LABELS, training=training, window=window, **SIZE)
    for epoch in (0, 1):
        assert sorted(examples(batches, epoch)) == sorted(expected(tokenizer))
        assert batches.num_batches(epoch) == len(list(batches.epoch(epoch)))


def test_batches_keep_to_the_budget_and_have_few_shapes(tokenizer):
    options = {"tokens_per_batch": 40, "max_length": 17, "num_shapes": 3}
    batches = LabelledBatches(ROWS, tokenizer, LABELS, training=True, **options)
    shapes = [x["token_ids"].shape for x, _, _ in batches.epoch(0).as_numpy_iterator()]
    assert all(rows * length <= 40 for rows, length in shapes)
    assert 1 < len({length for _, length in shapes}) <= 4
    tight = LabelledBatches(ROWS, tokenizer, LABELS, training=False, tokens_per_batch=10)
    sizes = [x["token_ids"].shape for x, _, _ in tight.epoch(0).as_numpy_iterator()]
    assert all(rows * length <= 10 or rows == 1 for rows, length in sizes)


def test_an_epoch_is_a_function_of_its_number_and_the_seed(tokenizer):
    def of(seed, epoch, start=0):
        batches = LabelledBatches(ROWS, tokenizer, LABELS, training=True, seed=seed, **SIZE)
        return examples(batches, epoch, start)

    assert of(3, 2) == of(3, 2)
    assert of(3, 2) != of(4, 2)
    assert of(3, 2) != of(3, 1)
    assert 0 < len(of(3, 2, start=1)) < len(of(3, 2)) == len(ROWS)
    assert of(3, 2)[-len(of(3, 2, start=1)) :] == of(3, 2, start=1)


def test_evaluation_goes_from_short_to_long_whatever_the_seed(tokenizer):
    orders = [
        examples(LabelledBatches(ROWS, tokenizer, LABELS, training=False, seed=seed, **SIZE))
        for seed in (0, 1)
    ]
    assert orders[0] == orders[1]
    lengths = [len(ids) for ids, *_ in orders[0]]
    assert lengths == sorted(lengths)


def test_what_is_cut_is_counted_and_said_once_an_epoch(tokenizer, caplog):
    batches = LabelledBatches(ROWS, tokenizer, LABELS, training=True, **SIZE)
    assert batches.report is None
    with caplog.at_level(logging.WARNING):
        examples(batches)
    long = sum(len(ids) > 15 for ids in tokenizer.tokenize([row[0] for row in ROWS]).to_list())
    assert batches.report == CutReport(len(ROWS), long, batches.num_batches(0))
    assert long > 0
    (record,) = caplog.records
    assert f"of {long} of {len(ROWS)} texts the end was not read" in record.getMessage()


@pytest.mark.parametrize("training", [True, False])
def test_a_pair_is_two_segments(tokenizer, training):
    options = {"pairs": True, "segments": True, **SIZE}
    batches = LabelledBatches(PAIRS, tokenizer, LABELS, training=training, **options)
    first, second = (tokenizer.tokenize([row[i] for row in PAIRS]).to_list() for i in (0, 1))
    wanted = {
        (tuple(a + [tokenizer.eos_id]), tuple(b + [tokenizer.eos_id]))
        for a, b in zip(first, second, strict=True)
        if len(a) + len(b) <= 14
    }
    found = set()
    for x, _, _ in batches.epoch(0).as_numpy_iterator():
        for ids, real, segment in zip(*x.values(), strict=True):
            assert ids[0] == tokenizer.bos_id and not segment[~real].any()
            assert (np.diff(segment[real]) >= 0).all()
            sides = [tuple(ids[real & (segment == number)].tolist()) for number in (0, 1)]
            found.add((sides[0][1:], sides[1]))
    assert wanted <= found
    assert len(wanted) == 3


def test_several_labels_are_zeros_and_ones(tokenizer):
    rows = [("a", "mixed", "negative"), ("b",), ("c", "positive")]
    options = {"multi_label": True, "class_weight": {"mixed": 3.0}}
    batches = LabelledBatches(rows, tokenizer, LABELS, training=True, **options, **SIZE)
    found = {tuple(y): weight for _, y, weight in examples(batches)}
    assert found == {
        (1.0, 0.0, 1.0): [1.0, 1.0, 3.0],
        (0.0, 0.0, 0.0): [1.0] * 3,
        (0.0, 1.0, 0.0): [1.0] * 3,
    }


def test_class_weights_count_in_training_alone(tokenizer):
    for training in (True, False):
        weight = {"positive": 2.5, "mixed": 0.5}
        batches = LabelledBatches(
            ROWS, tokenizer, LABELS, training=training, class_weight=weight, **SIZE
        )
        found = {label: weight for _, label, weight in examples(batches)}
        assert found == ({0: 1.0, 1: 2.5, 2: 0.5} if training else {0: 1.0, 1: 1.0, 2: 1.0})


def test_sampling_cuts_words_differently_in_every_epoch(subwords):
    def of(epoch, training=True):
        batches = LabelledBatches(
            ROWS, subwords, LABELS, training=training, sampling_alpha=0.5, **SIZE
        )
        found = examples(batches, epoch)
        assert batches.num_batches(epoch) == len(list(batches.epoch(epoch)))
        return sorted(ids for ids, *_ in found)

    assert of(0) == of(0) != of(1)
    assert of(0, training=False) == of(1, training=False)
    whole = {subwords.detokenize([ids]).numpy()[0] for ids in of(1)}
    assert {text.encode() for text in ("two dogs", "eight", "公园很大。")} <= whole


def test_arguments_out_of_range_are_refused(tokenizer):
    def build(rows=ROWS, **options):
        return LabelledBatches(rows, tokenizer, LABELS, **{"training": True, **SIZE, **options})

    with pytest.raises(TypeError, match="`rows` must be re-iterable .* Received: list_iterator"):
        build(iter(ROWS))
    with pytest.raises(ValueError, match="`max_length` must be at least 3. Received: max_length=2"):
        build(max_length=2)
    with pytest.raises(ValueError, match="`max_length` must be at least 4"):
        build(PAIRS, max_length=3, pairs=True)
    with pytest.raises(ValueError, match="`window` must be at least 1. Received: window=0"):
        build(window=0)
    with pytest.raises(ValueError, match="`num_shapes` must be at least 1. Received: num_shapes=0"):
        build(num_shapes=0)
    with pytest.raises(ValueError, match="`tokens_per_batch` must be at least `max_length`.*=16"):
        build(tokens_per_batch=16)
    with pytest.raises(ValueError, match="`sampling_alpha` must be from 0 to 1.*=1.5"):
        build(sampling_alpha=1.5)
    with pytest.raises(ValueError, match="`class_weight` must be of labels, .* Received: 'good'"):
        build(class_weight={"good": 2.0})
    with pytest.raises(ValueError, match="`rows` must hold at least one example"):
        build([]).epoch(0)
    with pytest.raises(ValueError, match="`rows` must have labels among negative, .*: 'good'"):
        build([("a", "good")]).num_batches()
    with pytest.raises(ValueError, match=r"`rows` must be a text and a label. Received: \('a',\)"):
        build([("a",)]).num_batches()
    with pytest.raises(ValueError, match="`rows` must be two texts and a label"):
        build([("a", "b")], pairs=True).num_batches()
