import numpy as np
import pytest

from tflm.data.words import Words
from tflm.tokenizers import BytePairTokenizer, SentencePieceTokenizer, WordPieceTokenizer
from tflm.tokenizers.pieces import Pieces

LINES = [
    "two dogs and a cat, walking in the park",
    "公园很大。我喝茶，GPU很好？",
    "go. (on) 😀",
] * 9


@pytest.fixture(scope="module")
def sentencepiece():
    return SentencePieceTokenizer.train(LINES, 340)


def cut(tokenizer, text, find):
    """What stands between the places that `find` names, as text."""
    pieces = Pieces.of(tokenizer)
    ids = np.array(tokenizer.tokenize([text]).to_list()[0])
    parts = np.split(ids, np.flatnonzero(getattr(Words(pieces), find)(ids))[1:])
    return [pieces.join(part.tolist()).decode().strip(" ") for part in parts]


def words(tokenizer, text):
    return cut(tokenizer, text, "starts")


def test_words_of_sentencepiece_begin_at_spaces_and_at_signs(sentencepiece):
    assert words(sentencepiece, "two dogs walked, (ok) don't 😀 go") == [
        *("two", "dogs", "walked", ",", "(", "ok", ")", "don", "'", "t", "😀", "go"),
    ]


def test_words_of_bytes_are_the_same():
    tokenizer = BytePairTokenizer.train(LINES, 290)
    text = "two dogs walked, (ok) 😀 go"
    assert words(tokenizer, text) == ["two", "dogs", "walked", ",", "(", "ok", ")", "😀", "go"]
    # A Chinese character is a word, or goes on with the one whose bytes share a piece with its own.
    found = words(tokenizer, "龘靐 龘靐GPU很")
    assert "".join(found) == "龘靐龘靐GPU很" and len(found) >= 4


def test_words_of_wordpiece_are_pieces_and_those_that_go_on_with_them():
    tokenizer = WordPieceTokenizer(["[UNK]", "[MASK]", "walk", "##ing", "##ed", "公", "园", "##园"])
    assert words(tokenizer, "walking walk walked") == ["walking", "walk", "walked"]
    assert words(tokenizer, "公园walk") == ["公", "园", "walk"]


def test_a_piece_of_chinese_is_a_word_whatever_stands_beside_it(sentencepiece):
    found = words(sentencepiece, "公园很大，GPU很好")
    assert "".join(found) == "公园很大，GPU很好"
    assert "GPU" in found and "，" in found
    pieces = b" ".join(sentencepiece.pieces(["公园很大"]).to_list()[0]).decode()
    assert words(sentencepiece, "公园很大") == pieces.replace("▁", "").split()
    characters = SentencePieceTokenizer.train(LINES, 400, "char")
    assert words(characters, "公园 GPU 很大") == ["公", "园", "GPU", "很", "大"]


@pytest.mark.parametrize("text", ["ไทย", "ひらカナ", "𠮷龘"])
def test_scripts_without_spaces_have_a_word_for_every_piece(text):
    characters = SentencePieceTokenizer.train([text] * 30, 400, "char")
    assert words(characters, text) == list(text)


def test_hangul_and_marks_are_letters_of_words():
    characters = SentencePieceTokenizer.train(["한국어 텍스트 हिन्दी cafe\u0301"] * 30, 400, "char")
    text = "한국어 텍스트 हिन्दी cafe\u0301"
    assert words(characters, text) == text.split()


def test_a_special_token_is_a_word_by_itself(sentencepiece):
    finder = Words(Pieces.of(sentencepiece))
    two, dogs = sentencepiece.tokenize(["two dogs"]).to_list()[0]
    (s,) = sentencepiece.tokenize(["as"]).to_list()[0][-1:]
    ids = [[2, s, s, 3, s, two], [dogs, s, 0, 0, 0, 0]]
    assert finder.starts(ids).tolist() == [
        [True, True, False, True, True, True],
        [True, False, True, True, True, True],
    ]


def test_sentences_begin_behind_full_stops(sentencepiece):
    def sentences(text):
        return cut(sentencepiece, text, "sentence_starts")

    assert sentences("two dogs. a cat! 公园很大。我喝茶？go") == [
        *("two dogs.", "a cat!", "公园很大。", "我喝茶？", "go"),
    ]
    assert sentences("what?! go...on") == ["what?!", "go...", "on"]
    assert sentences("no end") == ["no end"]
