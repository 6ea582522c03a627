import collections

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tflm.data import DenoisingBatches, Infilling, SpanCorruption
from tflm.data.denoising import Noise, sentinels_of
from tflm.tokenizers import SentencePieceTokenizer

LINES = [
    "two dogs walked in the park. A cat sat there!",
    "公园很大。我们在公园里喝茶，也看书。",
    "six.",
    "one two three four five six seven " * 4,
] * 12
SYMBOLS = ["<extra_id_2>", "[MASK]", "<extra_id_1>", "<extra_id_0>", "<extra_id_3>"]
SYMBOLS += [f"<extra_id_{i}>" for i in (4, 5, 6)]
SIZE = {"sequence_length": 40, "tokens_per_batch": 120, "target_start": (2,)}


@pytest.fixture(scope="module")
def tokenizer():
    return SentencePieceTokenizer.train(LINES, 340, control_symbols=SYMBOLS)


@pytest.fixture(scope="module")
def noises(tokenizer):
    return {"spans": SpanCorruption(tokenizer), "infilling": Infilling(tokenizer)}


def restored(source, target, sentinels):
    """The text that a source and a target of span corruption are made of."""
    spans, ids = {}, iter(target)
    for id_ in ids:
        if id_ in sentinels:
            spans[id_] = span = []
        else:
            span.append(id_)
    assert list(spans) == sentinels[: len(spans)]
    assert spans.pop(sentinels[len(spans) - 1]) == []  # the last one ends the target
    return [x for id_ in source for x in (spans.pop(id_) if id_ in spans else [id_])]


@given(st.integers(1, 100), st.integers(0, 2**32))
@settings(max_examples=80, deadline=None)
def test_source_and_target_make_the_text_again(noises, tokenizer, length, seed):
    sentinels = sentinels_of(tokenizer)
    ids = np.random.default_rng(seed).integers(20, 300, length)
    source, target = noises["spans"](ids, np.random.default_rng(seed))
    assert restored(source.tolist(), target.tolist(), sentinels) == ids.tolist()
    num_sentinels = np.isin(source, sentinels).sum()
    lost = length + num_sentinels - len(source)
    assert lost == max(1, round(0.15 * length))
    assert num_sentinels == max(1, round(lost / 3))
    assert len(target) == lost + num_sentinels + 1


def test_every_token_is_as_likely_to_be_lost(noises, tokenizer):
    ids = np.arange(20, 60)
    counts = collections.Counter()
    for seed in range(600):
        source, _ = noises["spans"](ids, np.random.default_rng(seed))
        counts.update(set(ids.tolist()) - set(source.tolist()))
    assert len(counts) == 40
    inside = np.array([counts[id_] for id_ in range(24, 56)]) / 600
    assert inside.mean() == pytest.approx(0.15, abs=0.02)
    assert inside.min() > 0.07 and inside.max() < 0.25


def test_sentinels_are_found_by_name_whatever_their_ids(tokenizer):
    assert sentinels_of(tokenizer) == [7, 6, 4, 8, 9, 10, 11]
    assert sentinels_of(SentencePieceTokenizer.train(LINES, 320)) == []


def test_infilling_keeps_the_words_that_are_left(noises, tokenizer):
    noise = noises["infilling"]
    shares, lengths = [], []
    for seed, line in enumerate(LINES * 3):
        ids = np.array(tokenizer.tokenize([line]).to_list()[0], np.int32)
        source, target = noise(ids, np.random.default_rng(seed))
        np.testing.assert_array_equal(target, ids)
        assert len(source) <= len(ids)
        left = source[source != tokenizer.mask_id]
        assert not collections.Counter(left.tolist()) - collections.Counter(ids.tolist())
        num_words = noise.words.starts(ids).sum()
        num_left = noise.words.starts(source)[source != tokenizer.mask_id].sum()
        lost = num_words - num_left
        assert lost == int(np.ceil(0.3 * num_words))
        shares.append(lost / num_words)
        lengths.append(lost / max(1, (source == tokenizer.mask_id).sum()))
    assert np.mean(shares) == pytest.approx(0.33, abs=0.04)
    assert 1.2 < np.mean(lengths) < 3.5


def test_sentences_change_places_as_a_whole(tokenizer):
    noise = Infilling(tokenizer, rate=1e-9)  # one word
    (ids,) = tokenizer.tokenize(["one two three four. five six seven. two dogs walked."]).to_list()
    orders = set()
    for seed in range(40):
        source, _ = noise(np.array(ids, np.int32), np.random.default_rng(seed))
        text = tokenizer.detokenize([source]).numpy()[0].decode()
        orders.add(tuple(sorted(("f", "o", "d"), key=lambda start: text.find(f"{start}"))))
        for inside in ("two three", "five six", "dogs walked"):
            first, second = inside.split()
            if first in text and second in text and inside not in text:
                assert tokenizer.mask_id in source
    assert len(orders) > 2


def test_lengths_of_spans_are_those_of_poisson(tokenizer):
    noise = Infilling(tokenizer)
    lengths, empty = zip(
        *(noise._spans(400, np.random.default_rng(seed)) for seed in range(40)), strict=True
    )
    found = np.concatenate([each[:-1] for each in lengths])  # the last one is what was left
    assert all(each.sum() == 120 for each in lengths)
    assert found.mean() == pytest.approx(3 / (1 - np.exp(-3)), abs=0.2)
    assert sum(empty) / (len(found) + sum(empty)) == pytest.approx(np.exp(-3), abs=0.02)


@pytest.mark.parametrize("name", ["spans", "infilling"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("window", [200, 4_000_000])
def test_the_targets_of_an_epoch_are_the_texts(tokenizer, noises, name, training, window):
    batches = DenoisingBatches(
        LINES, tokenizer, noises[name], training=training, source_start=(2,), window=window, **SIZE
    )
    sentinels = sentinels_of(tokenizer)
    texts = collections.Counter()
    num_batches = 0
    for x, y, weight in batches.epoch(1).as_numpy_iterator():
        num_batches += 1
        assert len(y) * 5 <= 120  # the shortest rows have 5 tokens at most
        assert x["encoder_token_ids"].shape[1] % 8 == y.shape[1] % 8 == 0
        np.testing.assert_array_equal(x["decoder_padding_mask"], weight > 0)
        for row in range(len(y)):
            source = x["encoder_token_ids"][row][x["encoder_padding_mask"][row]].tolist()
            target = y[row][weight[row] > 0].tolist()
            assert source[0] == 2 and source[-1] == target[-1] == 3
            read = x["decoder_token_ids"][row][weight[row] > 0].tolist()
            assert read == [2, *target[:-1]]
            ids = target[:-1]
            if name == "spans":
                ids = restored(source[1:-1], ids, sentinels)
            texts[tuple(ids)] += 1
    assert num_batches == batches.num_batches(0) == batches.num_batches(1)
    rows = tokenizer.tokenize(LINES).to_list()
    expected = collections.Counter(
        tuple(row[start : start + 40]) for row in rows for start in range(0, len(row), 40)
    )
    assert texts == expected


def test_what_follows_the_first_start_token_is_learned(tokenizer, noises):
    batches = DenoisingBatches(
        ["two dogs"],
        tokenizer,
        noises["infilling"],
        training=True,
        **SIZE | {"target_start": (3, 2)},
    )
    ((x, y, _),) = batches.epoch(0).as_numpy_iterator()
    ids = tokenizer.tokenize(["two dogs"]).to_list()[0]
    mask = x["decoder_padding_mask"][0]
    assert x["decoder_token_ids"][0][mask].tolist() == [3, 2, *ids]
    assert y[0][mask].tolist() == [2, *ids, 3]


def test_noise_is_a_function_of_seed_and_epoch_and_not_of_the_batch(tokenizer, noises):
    def of(seed, epoch, training=True, **changes):
        size = {**SIZE, **changes}
        batches = DenoisingBatches(
            LINES, tokenizer, noises["infilling"], training=training, seed=seed, **size
        )
        return sorted(
            row[row > 0].tolist()
            for x, _, _ in batches.epoch(epoch).as_numpy_iterator()
            for row in x["encoder_token_ids"]
        )

    assert of(3, 2, training=False) == of(3, 1, training=False)
    assert of(3, 2) == of(3, 2) == of(3, 2, tokens_per_batch=500)
    assert of(3, 2) != of(3, 1)
    assert of(3, 2) != of(4, 2)


def test_a_later_batch_is_the_start_of_what_is_left(tokenizer, noises):
    batches = DenoisingBatches(LINES, tokenizer, noises["spans"], training=True, **SIZE)
    whole = [y.tolist() for _, y, _ in batches.epoch(2).as_numpy_iterator()]
    rest = [y.tolist() for _, y, _ in batches.epoch(2, 3).as_numpy_iterator()]
    assert rest == whole[3:]


def test_too_few_sentinels_are_refused(tokenizer, noises):
    message = "`tokenizer` must have 8 sentinels, .*<extra_id_7>, for .* 140 .*: 7"
    with pytest.raises(ValueError, match=message):
        DenoisingBatches(
            LINES, tokenizer, noises["spans"], training=True, sequence_length=140, target_start=(2,)
        )


def test_a_tokenizer_without_an_end_is_refused(tokenizer, noises):
    class Endless:
        eos_id = -1

    with pytest.raises(ValueError, match="`tokenizer` must have an `eos_id`. .*Endless without"):
        DenoisingBatches(LINES, Endless(), noises["spans"], training=True, **SIZE)


@pytest.mark.parametrize("noise", [SpanCorruption, Infilling])
def test_numbers_out_of_range_are_refused(tokenizer, noise):
    with pytest.raises(ValueError, match="`rate` must be between 0 and 1. Received: rate=1.0"):
        noise(tokenizer, rate=1.0)
    with pytest.raises(ValueError, match="`mean_span` must be at least 1. Received: mean_span=0.5"):
        noise(tokenizer, mean_span=0.5)
    assert issubclass(noise, Noise)
