import unicodedata

import pytest

from tflm.data.cleaning.control import Control


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\ufeff你\x00好\u200b", "你好"),
        ("a\x0bb\x85c\x1cd", "a b c d"),
        ("tab\tline\r\nfeed", "tab\tline\r\nfeed"),
        ("soft\xadhyphen \u202eabc\u202c", "softhyphen abc"),
        ("half \ud83d, no character \ufdd0 \U0001ffff", "half , no character  "),
    ],
)
def test_what_no_reader_sees_is_taken_out(text, expected):
    assert Control().clean(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "👩‍👩‍👧",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "❤\ufe0f",
        "می‌خواهم",
        "क्‍ष",
    ],
)
def test_what_joins_emoji_and_letters_stays(text):
    assert Control().clean(text) == text


def test_no_control_character_but_line_ends_and_tabs_is_left():
    every = "".join(map(chr, range(0x110000)))
    left = {char for char in Control().clean(every) if unicodedata.category(char) in ("Cc", "Cs")}
    assert left == {"\t", "\n", "\r"}
