import dataclasses
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tflm.data.cleaning import Step, known_steps, parse_step, parse_steps
from tflm.data.cleaning.length import Length
from tflm.data.cleaning.steps import RowStep, TextStep, languages_of
from tflm.data.cleaning.stop_words import STOP_WORDS

NAMES = [
    "control", "duplicates", "length", "length_ratio", "markup", "near_duplicates", "script",
    "simplified_chinese", "stop_words", "traditional_chinese", "unicode", "untranslated",
    "whitespace",
]  # fmt: skip
FRAGMENTS = [
    "<b>", "</p>", "<a href='x'>", "<!--", "-->", "<", ">", "&", "amp;", "lt;", "gt;", "#60;",
    "#x41;", " ", "\n", "\r\n", "\t", "\u3000", "\xa0", "\u200b", "\ufeff", "\x0b", "\x00", "e",
    "\u0301", "the", "The", "it's", "it’s", "'", "und", "der", "不", "的", "目", "地", "因", "为",
    "后", "後", "发", "髮", "乾", "干", "薴", "苧", "只", "是", "。", "7",
    "👩‍👩‍👧", "🇨🇳", "🏴\U000e0067\U000e007f",
]  # fmt: skip
TEXTS = st.one_of(
    st.text(max_size=25), st.lists(st.sampled_from(FRAGMENTS), max_size=14).map("".join)
)
TEXT_STEPS = sorted(
    f"{name}:{parameters}" if parameters else name
    for name, cls in known_steps().items()
    if issubclass(cls, TextStep)
    for parameters in {
        "unicode": [f"form={form}" for form in ("NFC", "NFD", "NFKC", "NFKD")],
        "stop_words": [f"languages={code}" for code in STOP_WORDS],
    }.get(name, [""])
)


def test_every_file_s_steps_are_known_by_name():
    assert sorted(known_steps()) == NAMES
    for name, cls in known_steps().items():
        assert cls.NAME == name
        assert dataclasses.is_dataclass(cls)


@pytest.mark.parametrize("spec", TEXT_STEPS)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(text=TEXTS)
def test_what_a_text_step_does_twice_is_what_it_does_once(spec, text):
    (clean,) = parse_step(spec).cleans(1)
    once = clean(text)
    assert clean(once) == once


@pytest.mark.parametrize("name", NAMES)
def test_a_step_is_written_and_read_again(name):
    step = parse_step(name, "en-zh")
    assert isinstance(step, known_steps()[name])
    assert parse_step(step.spec) == step
    assert step.spec.partition(":")[0] == name


def test_parameters_have_the_types_of_their_defaults():
    step = parse_step("length:min=2,max=7,unit=words")
    assert step == Length(2, 7, "words")
    assert step.spec == "length:min=2,max=7,unit=words"
    assert parse_step("control").spec == "control"
    assert parse_step("length_ratio:max=2.5").max == 2.5


def test_languages_are_told_to_the_steps_that_have_none_of_their_own():
    script, own, unicode = parse_steps(["script", "script:languages=de-ru", "unicode"], "en-zh")
    assert script.languages == "en-zh"
    assert own.languages == "de-ru"
    assert parse_steps([unicode], "en-zh") == (unicode,)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("spelling", r"`clean` must name one of \['control', .*'whitespace'\]. Received: 'spell"),
        ("length:most=3", r"must give length parameters of \['max', 'min', 'unit'\].*'length:most"),
        ("control:all=1", r"must give control parameters of \[\]. Received: 'control:all=1'"),
        ("length:max=few", "must give max a value of type int. Received: 'length:max=few'"),
    ],
)
def test_an_unknown_step_or_parameter_lists_the_known_ones(spec, message):
    with pytest.raises(ValueError, match=message):
        parse_step(spec)


def test_languages_are_one_for_all_texts_or_one_for_each():
    assert languages_of("en-zh_TW", 2) == ["en", "zh"]
    assert languages_of("ZH", 3) == ["zh", "zh", "zh"]
    for languages, num_texts in (("en-de", 1), ("en-de", 3), ("", 2), ("en-", 2)):
        with pytest.raises(ValueError, match=f"one for each text .* {num_texts} texts"):
            languages_of(languages, num_texts)


def test_a_step_of_one_s_own_is_known_by_its_name():
    @dataclasses.dataclass(frozen=True)
    class Shout(TextStep):
        NAME: ClassVar[str] = "shout"

        def clean(self, text):
            return text.upper()

    assert known_steps()["shout"] is Shout
    assert parse_step("shout").begin(2)(("a", "é")) == ("A", "É")
    Shout.NAME = ""
    assert "shout" not in known_steps()


def test_what_a_step_must_say_is_asked_for():
    for call in (
        lambda: Step().begin(1),
        lambda: TextStep().clean("text"),
        lambda: RowStep().keeps(("text",)),
    ):
        with pytest.raises(NotImplementedError):
            call()
