import pytest

from tflm.data.cleaning.stop_words import STOP_WORDS, StopWords, without_stop_words


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("The park is very big, and it’s not far.", "en", "park big, not far."),
        ("Der Park ist sehr groß und nicht weit.", "de", "Park groß nicht weit."),
        ("这个公园很大，我们的目的是了解它。", "zh", "公园大，目的了解。"),
        ("我 的 公园", "zh", "公园"),
        ("他不在", "zh", "不"),
        ("👩‍👧 the 🙂", "en", "👩‍👧 🙂"),
        ("I am you", "en", ""),
    ],
)
def test_words_that_tell_little_are_taken_out(text, language, expected):
    assert without_stop_words(text, language) == expected


def test_what_stood_on_both_sides_of_a_word_may_be_one_itself():
    assert without_stop_words("因了为", "zh") == ""


def test_no_negation_is_on_a_list():
    negations = {
        "no",
        "not",
        "never",
        "nor",
        "nicht",
        "kein",
        "nie",
        "不",
        "没",
        "没有",
        "别",
        "don't",
    }
    assert not negations & frozenset.union(*STOP_WORDS.values())


def test_words_are_listed_as_they_are_looked_up():
    for words in STOP_WORDS.values():
        assert len(words) > 50
        assert all(word == word.casefold() for word in words)


def test_each_text_loses_the_words_of_its_language():
    assert StopWords("en-zh").begin(2)(("the die", "我的茶")) == ("die", "茶")
    assert StopWords("de").begin(1)(("the die",)) == ("the",)
    assert StopWords("en").begin(1)(("the",)) is None


def test_languages_without_a_list_are_refused():
    message = "`languages` of `stop_words` must be of de, en, zh. Received: languages='en-ru'"
    with pytest.raises(ValueError, match=message):
        StopWords("en-ru")
    with pytest.raises(ValueError, match="`languages` must be one code, or one for each"):
        StopWords()
