import numpy as np
import pytest

from tflm.tokenizers import BytePairTokenizer, SentencePieceTokenizer, WordPieceTokenizer
from tflm.tokenizers.pieces import Pieces

LINES = ["two dogs and a cat", "公园很大，我喝茶。", "walking, walked 😀"] * 9
TEXTS = [*LINES[:3], "unseen: ƛ 龘\n"]
ROLES = {"pad": "<pad>", "eos": "</s>", "mask": "<mask>"}


@pytest.fixture(scope="module")
def sentencepiece():
    return SentencePieceTokenizer.train(LINES, 340, control_symbols=["[MASK]", "<extra_id_0>"])


@pytest.fixture(scope="module")
def wordpiece():
    words = "two dogs and a cat 公 园 walk ##ing ##ed ,".split()
    return WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words])


@pytest.fixture(scope="module")
def byte_pair():
    return BytePairTokenizer.train(LINES, 300, roles=ROLES)


def test_pieces_of_sentencepiece_spell_a_text_with_a_space_in_front(sentencepiece):
    pieces = Pieces.of(sentencepiece)
    for text, ids in zip(TEXTS, sentencepiece.tokenize(TEXTS).to_list(), strict=True):
        assert pieces.join(ids) == f" {text}".encode()


def test_pieces_of_bytes_spell_a_text_as_it_is(byte_pair):
    pieces = Pieces.of(byte_pair)
    for text, ids in zip(TEXTS, byte_pair.tokenize(TEXTS).to_list(), strict=True):
        assert pieces.join(ids) == text.encode()


def test_pieces_of_wordpiece_have_a_space_where_a_word_starts(wordpiece):
    pieces = Pieces.of(wordpiece)
    ids = wordpiece.tokenize(["walking 公园, dogs"]).to_list()[0]
    assert pieces.join(ids).decode() == " walking 公 园 , dogs"
    assert not pieces.keeps_spaces
    assert pieces.spelled[wordpiece.vocabulary.index("##ing")] == b"ing"


def test_special_tokens_spell_nothing(sentencepiece, wordpiece, byte_pair):
    expected = {
        sentencepiece: ["<pad>", "<unk>", "<s>", "</s>", "[MASK]", "<extra_id_0>"],
        wordpiece: ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
        byte_pair: ["<pad>", "</s>", "<mask>"],
    }
    for tokenizer, contents in expected.items():
        pieces = Pieces.of(tokenizer)
        assert pieces.special_ids == {content: id_ for id_, content in enumerate(contents)}
        assert np.flatnonzero(pieces.special).tolist() == list(range(len(contents)))
        assert len(pieces.spelled) == len(pieces.special) == tokenizer.vocab_size
        assert pieces.content(tokenizer.mask_id) in ("[MASK]", "<mask>")
        assert pieces.content(tokenizer.vocab_size - 1) is None
    assert Pieces.of(sentencepiece).keeps_spaces


def test_a_tokenizer_without_special_tokens_has_none():
    bare = Pieces.of(BytePairTokenizer.train(LINES, 260, roles={}))
    assert bare.special_ids == {}
    assert not bare.special.any()
