import pytest

from tflm.data.cleaning.script import SCRIPTS, Script, script_share


@pytest.mark.parametrize(
    ("text", "language", "share"),
    [
        ("我用Python和TensorFlow。", "zh", 3 / 5),
        ("我用Python和TensorFlow。", "en", 2 / 5),
        ("コーヒーを飲む", "ja", 1.0),
        ("コーヒーを飲む", "zh", 3 / 7),  # the mark of a long vowel is of no script
        ("Я люблю чай", "ru", 1.0),
        ("서울 大學校", "ko", 1.0),
        ("Das Café, öffnet", "de", 1.0),
        ("e\u0301te\u0301", "fr", 1.0),
        ("3,14 😀👩‍👧!", "zh", 1.0),
        ("", "en", 1.0),
    ],
)
def test_the_share_of_words_in_a_language_s_script(text, language, share):
    assert script_share(text, language) == pytest.approx(share)


def test_every_language_s_script_is_one_that_characters_have():
    assert all(script_share("12", language) == 1.0 for language in SCRIPTS)
    assert len(SCRIPTS) > 70


def test_swapped_sides_and_other_languages_are_dropped():
    apply = Script("en-zh").begin(2)
    good = ("I like tea.", "我喜欢喝茶。")
    assert apply(good) == good
    assert apply(good[::-1]) is None
    assert apply(("I like tea.", "I like tea.")) is None
    assert apply(("Я люблю чай.", "我喜欢喝茶。")) is None
    assert Script("zh").begin(1)(("你好",)) == ("你好",)
    strict = Script("en-zh", min_share=1.0).begin(2)
    assert strict(("I like 茶.", "我喜欢喝茶。")) is None


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (("",), "`languages` must be one code, or one for each text .*languages=''"),
        (("en-xx",), "`languages` of `script` must be of af, .*, zh. Received: languages='en-xx'"),
        (("en-de", 1.5), "`min_share` must be between 0 and 1. Received: min_share=1.5"),
    ],
)
def test_parameters_that_do_not_suit_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        Script(*parameters)
    with pytest.raises(ValueError, match="languages='en-de', 1 texts"):
        Script("en-de").begin(1)
