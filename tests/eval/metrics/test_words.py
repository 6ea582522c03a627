import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tflm.eval.metrics.words import words, words_and_marks


@pytest.mark.parametrize(
    "text, expected",
    [
        ("我们去京都，好吗？", "我 们 去 京 都 好 吗"),
        ("用GPT-4写了2024年的报告", "用 gpt 4 写 了 2024 年 的 报 告"),
        ("𠮷野家", "𠮷 野 家"),
        ("コーヒーを飲む。", "コ ー ヒ ー を 飲 む"),
        ("ไปที่นี่", "ไ ป ที่ นี่"),
        ("ភាសា", "ភា សា"),
        ("Größe und Straße!", "größe und straße"),
        ("Привет, мир", "привет мир"),
        ("ذهب الولد إلى المدرسة.", "ذهب الولد إلى المدرسة"),
        ("كِتَابٌ جميل", "كِتَابٌ جميل"),
        ("می\u200cخواهم بروم", "می\u200cخواهم بروم"),
        ("हिन्दी में", "हिन्दी में"),
        ("한국어 텍스트입니다.", "한국어 텍스트입니다"),
        ("don't stop", "don t stop"),
        ("…！？😀", ""),
    ],
)
def test_words_are_characters_where_a_script_has_no_spaces_and_runs_elsewhere(text, expected):
    assert words(text) == tuple(expected.split())


def test_forms_of_one_character_are_one_word():
    assert words("ＡＢＣ１２ ｶﾞ") == words("abc12 ガ")
    assert words(unicodedata.normalize("NFD", "été")) == words("Été") == ("été",)


def test_marks_between_words_are_tokens_when_asked_for():
    assert words_and_marks("Nein! Nein!!") == ("nein", "!", "nein", "!", "!")
    assert words_and_marks("好，好😀") == ("好", ",", "好", "😀")


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_text_has_the_words_of_rouge_score(text):
    from rouge_score.tokenizers import DefaultTokenizer

    assert list(words(text)) == DefaultTokenizer().tokenize(text)


@settings(max_examples=100, deadline=None)
@given(st.text())
def test_marks_add_tokens_and_change_no_word(text):
    kept = [token for token in words_and_marks(text) if words(token)]
    assert tuple(kept) == words(text)
