import collections
import itertools
import logging
import random

import numpy as np
import pytest
import tensorflow as tf

from tflm.data import (
    BadLine,
    ParallelFiles,
    TranslationBatches,
    TsvFile,
    measure_padding,
    translation_batches,
)
from tflm.tokenizers import SentencePieceTokenizer

WORDS = "the a dog cat house tree runs sleeps sees under over red small and never".split()
SMALL = {"tokens_per_batch": 120, "max_length": 60}


def make_pairs(count):
    generator = random.Random(7)
    pairs = []
    for number in range(count):
        words = generator.choices(WORDS, k=generator.randint(1, 14))
        others = generator.choices(WORDS, k=max(1, len(words) + generator.randint(-3, 3)))
        pairs.append((f"{number} {' '.join(words)}", " ".join(others)))
    return pairs


@pytest.fixture(scope="module")
def pairs():
    return make_pairs(400)


@pytest.fixture(scope="module")
def tokenizers(pairs):
    source, target = zip(*pairs, strict=True)
    return (
        SentencePieceTokenizer.train(source, vocab_size=320),
        SentencePieceTokenizer.train(target, vocab_size=310),
    )


@pytest.fixture
def make(pairs, tokenizers):
    def make(corpus=pairs, training=True, **options):
        return TranslationBatches(corpus, *tokenizers, training=training, **(SMALL | options))

    return make


def rows(dataset):
    """Per batch, the (source ids, target ids) of its rows, bos and eos cut off."""
    batches = []
    for x, y, _ in dataset.as_numpy_iterator():
        sides = (x["encoder_token_ids"], x["encoder_padding_mask"], y, x["decoder_padding_mask"])
        batches.append(
            [
                (tuple(source[real][:-1].tolist()), tuple(target[wanted][:-1].tolist()))
                for source, real, target, wanted in zip(*sides, strict=True)
            ]
        )
    return batches


def bag(batches):
    return collections.Counter(itertools.chain.from_iterable(batches))


def tokenized(pairs, tokenizers):
    sides = [
        tokenizer.tokenize(list(side)).to_list()
        for tokenizer, side in zip(tokenizers, zip(*pairs, strict=True), strict=True)
    ]
    return [(tuple(s), tuple(t)) for s, t in zip(*sides, strict=True)]


@pytest.mark.parametrize("window", [1, 90, 400, 1000])
def test_every_pair_is_in_exactly_one_batch(make, pairs, tokenizers, window):
    batches = rows(make(window=window).epoch(0))
    assert bag(batches) == collections.Counter(tokenized(pairs, tokenizers))


@pytest.mark.parametrize("training", [True, False])
def test_no_batch_exceeds_the_token_budget(make, training):
    for x, y, _ in make(training=training).epoch(0):
        assert tf.size(y) <= 120
        assert x["decoder_token_ids"].shape == y.shape
        assert x["encoder_token_ids"].shape[0] == y.shape[0]


def test_labels_are_the_decoder_input_moved_by_one(make, tokenizers):
    source, target = tokenizers
    for x, y, weight in make().epoch(0).as_numpy_iterator():
        assert (weight == x["decoder_padding_mask"]).all()
        assert weight.dtype == np.float32
        for ids, mask in zip(x["encoder_token_ids"], x["encoder_padding_mask"], strict=True):
            length = mask.sum()
            assert mask[:length].all()
            assert ids[length - 1] == source.eos_id
            assert source.eos_id not in ids[: length - 1]
            assert (ids[length:] == source.pad_id).all()
        for ids, labels, mask in zip(
            x["decoder_token_ids"], y, x["decoder_padding_mask"], strict=True
        ):
            length = mask.sum()
            assert mask[:length].all()
            assert ids[0] == target.bos_id
            assert (ids[1:length] == labels[: length - 1]).all()
            assert labels[length - 1] == target.eos_id
            assert (ids[length:] == target.pad_id).all()
            assert (labels[length:] == target.pad_id).all()


def test_special_tokens_frame_sources_and_targets(make, tokenizers):
    _, target = tokenizers
    plain = make(training=False, sampling_alpha=0.0).epoch(0).unbatch()
    framed = make(
        training=False, sampling_alpha=0.0, source_start=(41, 42), target_start=(43, 44, 45)
    )
    for (x, y, _), (other, labels, _) in zip(plain, framed.epoch(0).unbatch(), strict=False):
        ids = x["encoder_token_ids"][x["encoder_padding_mask"]].numpy().tolist()
        mask = other["encoder_padding_mask"]
        assert other["encoder_token_ids"][mask].numpy().tolist() == [41, 42, *ids]
        ids = y[x["decoder_padding_mask"]].numpy().tolist()
        mask = other["decoder_padding_mask"]
        assert other["decoder_token_ids"][mask].numpy().tolist() == [43, 44, 45, *ids[:-1]]
        assert labels[mask].numpy().tolist() == [44, 45, *ids]
        assert ids[-1] == target.eos_id
        break


def test_an_epoch_is_a_function_of_seed_and_number(make):
    first = rows(make(seed=3).epoch(2))
    assert rows(make(seed=3).epoch(2)) == first
    assert rows(make(seed=4).epoch(2)) != first
    assert rows(make(seed=3).epoch(1)) != first
    assert bag(rows(make(seed=-4).epoch(1))) == bag(first)


def test_asking_for_other_epochs_first_changes_nothing(make):
    batches = make(window=90)
    for epoch in (3, 0, 1):
        assert rows(batches.epoch(epoch)) == rows(make(window=90).epoch(epoch))


@pytest.mark.parametrize(
    "options", [{}, {"window": 90}, {"sampling_alpha": 0.2}, {"training": False}]
)
def test_starting_at_a_batch_gives_the_tail_of_the_epoch(make, options):
    whole = rows(make(**options).epoch(1))
    assert len(whole) > 8
    for start in (0, 1, 7, len(whole)):
        assert rows(make(**options).epoch(1, start_batch=start)) == whole[start:]


def test_batches_do_not_go_from_short_to_long(make):
    widths = [y.shape[1] for _, y, _ in make().epoch(0)]
    rises = sum(a < b for a, b in itertools.pairwise(widths))
    falls = sum(a > b for a, b in itertools.pairwise(widths))
    assert min(rises, falls) > len(widths) / 5


def test_pairs_of_a_batch_change_from_epoch_to_epoch(make):
    batches = make()
    first, second = ({frozenset(b) for b in rows(batches.epoch(e)) if len(b) > 3} for e in (0, 1))
    assert len(first & second) < len(first) / 3


def test_full_batches_of_a_shape_have_the_same_number_of_rows(make):
    counts = collections.defaultdict(collections.Counter)
    for x, y, _ in make(window=90).epoch(0):
        counts[x["encoder_token_ids"].shape[1], y.shape[1]][y.shape[0]] += 1
    assert len(counts) > 3
    for (_, target_length), rows_of_shape in counts.items():
        partial = {rows: n for rows, n in rows_of_shape.items() if rows != 120 // target_length}
        assert sum(partial.values()) <= 1  # over all windows
        assert all(rows < 120 // target_length for rows in partial)


def test_shapes_are_the_same_in_every_epoch(make):
    batches = make()
    assert len({measure_padding(batches.epoch(epoch)).shapes for epoch in range(3)}) == 1


def test_pairs_that_are_too_long_are_dropped_and_counted(make, pairs, tokenizers, caplog):
    batches = make(max_length=12)
    with caplog.at_level(logging.WARNING):
        kept = bag(rows(batches.epoch(0)))
    expected = [p for p in tokenized(pairs, tokenizers) if max(map(len, p)) + 1 <= 12]
    assert 0 < len(expected) < 400
    assert kept == collections.Counter(expected)
    assert (batches.report.num_pairs, batches.report.num_dropped) == (400, 400 - len(expected))
    assert f"dropped {400 - len(expected)} of 400 pairs, longer than max_length=12" in caplog.text


def test_nothing_is_said_when_nothing_is_dropped(make, caplog):
    batches = make()
    assert batches.report is None
    assert len(rows(batches.epoch(0))) == batches.report.num_batches
    assert batches.report.num_dropped == 0
    assert caplog.text == ""


def test_evaluation_drops_nothing_and_is_always_the_same(make, pairs, tokenizers):
    long = ("dog " * 150, "cat " * 170)
    corpus = [*pairs[:50], long, *pairs[50:]]
    expected = tokenized(corpus, tokenizers)
    batches = rows(make(corpus, training=False, max_length=5).epoch(0))
    assert bag(batches) == collections.Counter(expected)
    assert [expected[50]] in batches  # past the budget, alone
    assert (
        rows(make(corpus, training=False, seed=9, sampling_alpha=0.3, max_length=120).epoch(4))
        == batches
    )


@pytest.mark.parametrize("training", [True, False])
def test_long_sources_are_cut_where_they_have_a_limit_of_their_own(
    make, pairs, tokenizers, training, caplog
):
    batches = make(training=training, max_source_length=9, max_length=60)
    with caplog.at_level(logging.INFO):
        found = bag(rows(batches.epoch(0)))
    expected = [(source[:8], target) for source, target in tokenized(pairs, tokenizers)]
    assert found == collections.Counter(expected)
    cut = sum(len(source) + 1 > 9 for source, _ in tokenized(pairs, tokenizers))
    assert 0 < cut < 400
    assert (batches.report.num_dropped, batches.report.num_cut) == (0, cut)
    assert f"cut {cut} of 400 pairs at max_source_length=9 tokens." in caplog.text


@pytest.mark.parametrize("training", [True, False])
def test_the_budget_counts_source_tokens_where_sources_have_a_limit(make, training):
    batches = make(training=training, max_source_length=24, max_length=60)
    shapes = [x["encoder_token_ids"].shape for x, _, _ in batches.epoch(0).as_numpy_iterator()]
    assert max(count * length for count, length in shapes) <= 120
    assert sum(count * length for count, length in shapes) / len(shapes) > 80
    assert max(length for _, length in shapes) <= 24


def test_a_source_ends_as_it_is_told_and_keeps_its_end_where_it_is_cut(make, pairs, tokenizers):
    batches = make(training=False, max_source_length=9, source_start=(2, 30), source_end=(31, 32))
    expected = [(2, 30, *source[:5], 31, 32) for source, _ in tokenized(pairs, tokenizers)]
    found = [
        tuple(ids[real].tolist())
        for x, _, _ in batches.epoch(0).as_numpy_iterator()
        for ids, real in zip(x["encoder_token_ids"], x["encoder_padding_mask"], strict=True)
    ]
    assert sorted(found) == sorted(expected)
    bare = make(training=False, source_end=()).epoch(0).as_numpy_iterator()
    lengths = sum(int(x["encoder_padding_mask"].sum()) for x, _, _ in bare)
    assert lengths == sum(len(source) for source, _ in tokenized(pairs, tokenizers))


def test_targets_are_cut_in_evaluation_where_there_is_no_room_for_more(make, pairs, tokenizers):
    limits = {"max_source_length": 23, "max_length": 7, "cut_targets": True}
    found = bag(rows(make(training=False, **limits).epoch(0)))
    assert found == collections.Counter((s[:22], t[:6]) for s, t in tokenized(pairs, tokenizers))
    shapes = [
        (x["encoder_token_ids"].shape[1], y.shape[1])
        for x, y, _ in make(training=False, **limits).epoch(0).as_numpy_iterator()
    ]
    assert max(source for source, _ in shapes) == 23 and {target for _, target in shapes} == {7}
    batches = make(**limits)  # in training they are dropped
    assert sum(1 for _ in batches.epoch(0)) and batches.report.num_dropped > 0


def test_rows_are_filled_with_the_end_where_there_is_no_padding(pairs, tokenizers):
    class Unpadded:
        def __init__(self, tokenizer):
            self.tokenize, self.eos_id, self.bos_id = tokenizer.tokenize, tokenizer.eos_id, 2
            self.pad_id = None

    sides = map(Unpadded, tokenizers)
    x, y, weight = next(iter(TranslationBatches(pairs[:9], *sides, training=False).epoch(0)))
    assert (x["encoder_token_ids"][~x["encoder_padding_mask"]].numpy() == 3).all()
    assert (y[weight == 0].numpy() == 3).all() and (weight == 0).numpy().any()


def test_evaluation_sorts_to_pad_little(make):
    assert measure_padding(make(training=False, tokens_per_batch=600).epoch(0)).total < 0.35


def test_sampling_gives_other_ids_for_the_same_text_in_every_epoch(make, pairs, tokenizers):
    batches = make(sampling_alpha=0.3, max_length=120)
    texts = []
    for epoch in (0, 1):
        found = bag(rows(batches.epoch(epoch)))
        assert found == bag(rows(make(sampling_alpha=0.3, max_length=120).epoch(epoch)))
        sources, targets = zip(*found.elements(), strict=True)
        texts.append((found, tokenizers[0].detokenize(sources), tokenizers[1].detokenize(targets)))
    (first, *_), (second, *_) = texts
    assert len(first & second) < 200
    for _, sources, targets in texts:
        decoded = zip(sources.numpy().tolist(), targets.numpy().tolist(), strict=True)
        assert sorted(decoded) == sorted((s.encode(), t.encode()) for s, t in pairs)


@pytest.mark.parametrize(
    "options",
    [{}, {"window": 90}, {"sampling_alpha": 0.2}, {"training": False}, {"max_length": 12}],
)
def test_the_number_of_batches_is_known_before_and_after(make, options):
    batches = make(**options)
    before = batches.num_batches(1)
    assert before == len(rows(make(**options).epoch(1)))
    assert len(rows(batches.epoch(1))) == batches.num_batches(1) == before


def test_the_number_of_batches_is_counted_once(make, pairs):
    class Counted:
        passes = 0

        def __iter__(self):
            self.passes += 1
            return iter(pairs)

    corpus = Counted()
    batches = make(corpus)
    for _ in batches.epoch(0):
        pass
    passes = corpus.passes
    assert batches.num_batches(0) == batches.num_batches(5) > 0
    assert corpus.passes == passes


def test_a_corpus_without_end_is_read_a_window_at_a_time(make, pairs):
    class Endless:
        read = 0

        def __iter__(self):
            for pair in itertools.cycle(pairs):
                self.read += 1
                yield pair

    corpus = Endless()
    assert len(rows(make(corpus, window=60).epoch(0).take(5))) == 5
    assert 60 < corpus.read < 1000


def test_both_tokenizers_may_be_one(make, pairs, tokenizers):
    both = translation_batches(pairs, tokenizers[0], tokenizers[0], training=True, **SMALL)
    assert bag(rows(both)) == collections.Counter(tokenized(pairs, (tokenizers[0],) * 2))


def test_the_function_is_one_epoch_of_the_class(make, pairs, tokenizers):
    options = SMALL | {"window": 90, "seed": 5, "sampling_alpha": 0.1, "num_shapes": 3}
    dataset = translation_batches(
        pairs, *tokenizers, training=True, epoch=2, start_batch=3, **options
    )
    assert rows(dataset) == rows(make(**options).epoch(2, 3))


def test_a_bad_line_in_the_first_window_keeps_its_type(make, tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text("a\tb\nonly one column\n")
    with pytest.raises(BadLine, match="pairs.tsv, line 2"):
        make(TsvFile(path)).epoch(0)


def test_a_bad_line_further_on_is_named(make, tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text("a\tb\n" * 10 + "only one column\n")
    dataset = make(TsvFile(path), window=3).epoch(0)
    with pytest.raises(tf.errors.OpError, match="pairs.tsv, line 11: expected 2 columns"):
        rows(dataset)


def test_an_iterator_is_refused(make, pairs):
    with pytest.raises(TypeError, match="`pairs` must be re-iterable .* Received: list_iterator"):
        make(iter(pairs))


@pytest.mark.parametrize("name", ["max_length", "window", "num_shapes"])
def test_counts_below_one_are_refused(make, name):
    with pytest.raises(ValueError, match=f"`{name}` must be at least 1. Received: {name}=0"):
        make(**{name: 0})


def test_a_budget_without_room_for_one_pair_is_refused(make):
    with pytest.raises(ValueError, match="`tokens_per_batch` must be .*=30, max_length=31"):
        make(tokens_per_batch=30, max_length=31)


def test_a_source_limit_without_room_is_refused(make):
    with pytest.raises(ValueError, match="`max_source_length` must be at least 7.*_length=6"):
        make(max_source_length=6, source_start=(2, 9), source_end=(8, 7, 5, 4))
    with pytest.raises(ValueError, match="`max_source_length` must be at least 2.*_length=1"):
        make(max_source_length=1)
    with pytest.raises(ValueError, match="`tokens_per_batch` must be .*=50, max_source_length=60"):
        make(tokens_per_batch=50, max_source_length=60)


@pytest.mark.parametrize("alpha", [-0.1, 1.1])
def test_a_sampling_alpha_out_of_range_is_refused(make, alpha):
    with pytest.raises(ValueError, match=f"`sampling_alpha` must be from 0 to 1. .*={alpha}"):
        make(sampling_alpha=alpha)


@pytest.mark.parametrize("corpus", [[], [("a " * 80, "b")]])
def test_training_on_nothing_is_refused(make, corpus):
    with pytest.raises(ValueError, match=f"a pair of at most .* Received: {len(corpus)} pairs"):
        make(corpus).epoch(0)


def test_evaluating_nothing_gives_no_batch(make):
    assert rows(make([], training=False).epoch(0)) == []


@pytest.fixture(scope="module")
def multi30k(shared_data):
    folder = shared_data / "multi30k"
    corpus = ParallelFiles(folder / "train.en.gz", folder / "train.de.gz")
    tokenizer = SentencePieceTokenizer.train(itertools.chain.from_iterable(corpus), 8000)
    return corpus, tokenizer


def test_multi30k_has_little_padding_and_few_shapes(multi30k):
    corpus, tokenizer = multi30k
    batches = TranslationBatches(corpus, tokenizer, tokenizer, training=True, tokens_per_batch=4096)
    padding = measure_padding(batches.epoch(0))
    assert padding.total < 0.08
    assert padding.source < 0.1
    assert padding.target < 0.1
    assert len(padding.shapes) <= 32
    assert padding.num_tokens / padding.num_batches > 3000
    assert (batches.report.num_pairs, batches.report.num_dropped) == (29_000, 0)


def test_multi30k_with_sampling_has_little_padding(multi30k):
    corpus, tokenizer = multi30k
    options = {"training": True, "sampling_alpha": 0.1}
    padding = measure_padding(translation_batches(corpus, tokenizer, tokenizer, **options))
    assert padding.total < 0.1
    assert len(padding.shapes) <= 32
