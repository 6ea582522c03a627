import pytest

from tflm.data.cleaning.length import Length, num_bytes, num_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't stop, it’s 3 o'clock!", 5),
        ("我用Python写程序。", 6),
        ("ありがとう", 5),
        ("été Straße 서울시", 3),
        ("สวัสดี x", 5),
        ("😀 !?", 0),
    ],
)
def test_words_are_counted_where_spaces_are_not_written(text, words):
    assert num_words(text) == words


def test_bytes_are_those_of_utf_8():
    assert num_bytes("aé茶😀") == 1 + 2 + 3 + 4
    assert num_bytes("\ud83d") == 3


def test_every_text_must_be_in_the_range():
    step = Length(min=2, max=4)
    assert step.keeps(("ab", "茶茶茶茶"))
    assert not step.keeps(("a", "茶茶"))
    assert not step.keeps(("ab", "茶茶茶茶茶"))
    assert Length(max=3, unit="words").keeps(("one two three", "一二三"))
    assert not Length(max=3, unit="bytes").keeps(("茶a",))


def test_parameters_that_do_not_suit_are_refused():
    with pytest.raises(ValueError, match="one of bytes, characters, words. Received: unit='page'"):
        Length(unit="page")
    for low, high in ((5, 4), (-1, 3)):
        message = f"`min` must be at least 0 and at most `max`. Received: min={low}, max={high}"
        with pytest.raises(ValueError, match=message):
            Length(low, high)
