import pytest

from tflm.data.cleaning.whitespace import Whitespace


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  two \t  words\xa0", "two words"),
        ("\u3000我\u3000\u2003喝茶。", "我 喝茶。"),
        ("a \r\n b\n \n\n\n c", "a\nb\n\nc"),
        ("a\u2028b", "a b"),
        ("👩‍👧  🙂", "👩‍👧 🙂"),
        (" \n ", ""),
    ],
)
def test_a_run_becomes_one_space_or_a_line_end_or_two(text, expected):
    assert Whitespace().clean(text) == expected
