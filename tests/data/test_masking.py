import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tflm.data import MaskedBatches
from tflm.data.masking import choose_words, mask_of
from tflm.data.words import Words
from tflm.tokenizers import SentencePieceTokenizer, WordPieceTokenizer
from tflm.tokenizers.pieces import Pieces

LINES = [
    "two dogs walked in the park, quietly.",
    "公园很大，我们在公园里喝茶。",
    "six, seven.",
] * 40
SIZE = {"sequence_length": 33, "tokens_per_batch": 99}
VOCABULARY = "[PAD] [UNK] [CLS] [SEP] [MASK] two dog ##s walk ##ed in the park , quiet ##ly . 公 园"


@pytest.fixture(scope="module")
def tokenizer():
    return SentencePieceTokenizer.train(LINES, 330, control_symbols=["[MASK]"])


@pytest.fixture(scope="module")
def wordpiece():
    words = f"{VOCABULARY} 很 大 ， 我 们 在 里 喝 茶 。 six seven".split()
    return WordPieceTokenizer(words)


def read(batches, epoch=0, start=0):
    """The rows of an epoch: damaged ids, real ids, positions, labels."""
    found = []
    for x, y, weight in batches.epoch(epoch, start).as_numpy_iterator():
        assert x["masked_positions"].shape == y.shape == weight.shape
        assert y.shape[1] == batches.num_masked
        for row in range(len(y)):
            chosen = weight[row] > 0
            positions, labels = x["masked_positions"][row][chosen], y[row][chosen]
            assert chosen[: len(positions)].all()  # what is not there stands behind
            ids = x["token_ids"][row]
            whole = ids.copy()
            whole[positions] = labels
            found.append((ids, whole, positions, labels, x["padding_mask"][row]))
    return found


@pytest.mark.parametrize("name", ["tokenizer", "wordpiece"])
@pytest.mark.parametrize("training", [True, False])
def test_the_labels_are_the_text_that_was_there(name, training, request):
    tokenizer = request.getfixturevalue(name)
    rows = read(MaskedBatches(LINES, tokenizer, training=training, **SIZE))
    begin, end = (2, 3)
    text = [id_ for line in tokenizer.tokenize(LINES).to_list() for id_ in (*line, end)]
    restored = []
    for _, whole, _, _, real in rows:
        assert whole[0] == begin
        restored.append(whole[real][1:].tolist())
    if not training:
        assert sum(restored, []) == text
    joined = ",".join(map(str, text))
    assert all(",".join(map(str, row)) in joined for row in restored)
    assert sum(map(len, restored)) > len(text) - 33


@pytest.mark.parametrize("name", ["tokenizer", "wordpiece"])
def test_words_are_chosen_whole_and_special_tokens_never(name, request):
    tokenizer = request.getfixturevalue(name)
    pieces = Pieces.of(tokenizer)
    words = Words(pieces)
    several = 0
    for _, whole, positions, labels, _ in read(
        MaskedBatches(LINES, tokenizer, training=True, **SIZE)
    ):
        assert not pieces.special[labels].any()
        word = np.cumsum(words.starts(whole))
        chosen = np.isin(np.arange(len(whole)), positions)
        for number in np.unique(word[positions]):
            inside = word == number
            several += inside.sum() > 1
            assert chosen[inside].all()
    assert several > 9


def test_the_rates_are_those_of_the_paper(wordpiece):
    batches = MaskedBatches(LINES, wordpiece, training=True, seed=5, **SIZE)
    promised = chosen = masked = kept = 0
    for epoch in range(4):
        for ids, whole, positions, _, padding_mask in read(batches, epoch):
            room = max(1, round(0.15 * (padding_mask & ~batches.special[whole]).sum()))
            assert len(positions) <= room
            promised += room
            chosen += len(positions)
            found = ids[positions]
            masked += (found == wordpiece.mask_id).sum()
            kept += (found == whole[positions]).sum()
            assert not batches.special[found[found != wordpiece.mask_id]].any()
    assert 0.95 < chosen / promised <= 1.0
    assert masked / chosen == pytest.approx(0.8, abs=0.04)
    assert kept / chosen == pytest.approx(0.1, abs=0.04)  # a random token may be the same one


def test_in_evaluation_every_chosen_token_is_masked_and_always_the_same(tokenizer):
    rows = read(MaskedBatches(LINES, tokenizer, training=False, **SIZE))
    for ids, _, positions, _, _ in rows:
        assert (ids[positions] == tokenizer.mask_id).all()
    again = read(MaskedBatches(LINES, tokenizer, training=False, **SIZE), epoch=3)
    large = {**SIZE, "tokens_per_batch": 33 * 5}
    others = read(MaskedBatches(LINES, tokenizer, training=False, **large))
    for row, same, other in zip(rows, again, others, strict=True):
        np.testing.assert_array_equal(row[0], same[0])
        np.testing.assert_array_equal(row[0], other[0])


def test_masks_are_a_function_of_seed_and_epoch(tokenizer):
    def of(seed, epoch, start=0):
        batches = MaskedBatches(LINES, tokenizer, training=True, seed=seed, **SIZE)
        return [ids.tolist() for ids, *_ in read(batches, epoch, start)]

    assert of(3, 2) == of(3, 2)
    assert of(3, 2) != of(3, 1)
    assert of(3, 2) != of(4, 2)
    assert of(3, 2, start=2) == of(3, 2)[6:]  # three rows are a batch


def test_a_word_that_is_too_much_is_passed_over():
    starts = np.array([True, True, False, False, True, True, False])
    may_be_chosen = np.array([False, True, True, True, True, True, True])
    for seed in range(20):
        rng = np.random.default_rng(seed)
        assert choose_words(starts, may_be_chosen, 0.2, rng).tolist() == [4]
        both = choose_words(starts, may_be_chosen, 0.5, rng).tolist()
        assert both in ([1, 2, 3], [4, 5, 6])
    assert choose_words(starts, np.zeros(7, bool), 0.5, rng).tolist() == []


@given(st.lists(st.integers(1, 4), min_size=1, max_size=30), st.floats(0.05, 0.9))
@settings(max_examples=40, deadline=None)
def test_whole_words_are_chosen_until_nothing_fits(sizes, rate):
    starts = np.concatenate([[True, *[False] * (size - 1)] for size in sizes])
    chosen = choose_words(starts, np.ones(len(starts), bool), rate, np.random.default_rng(1))
    room = max(1, round(rate * len(starts))) - len(chosen)
    assert room >= 0
    word = np.cumsum(starts) - 1
    left = [size for number, size in enumerate(sizes) if number not in set(word[chosen])]
    assert all(size > room for size in left)
    assert len(chosen) == sum(sizes[number] for number in set(word[chosen].tolist()))


def test_a_tokenizer_without_a_mask_is_refused():
    bare = SentencePieceTokenizer.train(LINES, 320)
    with pytest.raises(ValueError, match="`tokenizer` must have a `mask_id` .* without"):
        MaskedBatches(LINES, bare, training=True)
    with pytest.raises(ValueError, match="Received: SentencePieceTokenizer without"):
        mask_of(bare)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rate": 0.0}, "`rate` must be between 0 and 1. Received: rate=0.0"),
        ({"rate": 1.0}, "`rate` must be between 0 and 1. Received: rate=1.0"),
        ({"sequence_length": 1}, "`sequence_length` must be at least 2, .*sequence_length=1"),
    ],
)
def test_numbers_out_of_range_are_refused(tokenizer, changes, message):
    with pytest.raises(ValueError, match=message):
        MaskedBatches(LINES, tokenizer, training=True, **changes)
