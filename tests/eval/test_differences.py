import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tflm.eval.differences import Piece, differences, nearest, num_tokens, split_tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("I don't know.", ["I", " ", "don't", " ", "know", "."]),
        ("well-known 3,5", ["well-known", " ", "3", ",", "5"]),
        ("在北京 OK。", ["在", "北", "京", " ", "OK", "。"]),
        ("ありがとう", ["あ", "り", "が", "と", "う"]),
        ("हिन्दी में", ["हिन्दी", " ", "में"]),
        ("가나 다", ["가나", " ", "다"]),
        ("السلام عليكم", ["السلام", " ", "عليكم"]),
        ("", []),
    ],
)
def test_tokens_are_words_or_characters_as_the_script_writes(text, tokens):
    assert split_tokens(text) == tokens
    assert num_tokens(text) == sum(not token.isspace() for token in tokens)


@given(st.text(), st.text())
@settings(max_examples=60, deadline=None)
def test_pieces_make_the_texts_again(hypothesis, reference):
    assert "".join(split_tokens(hypothesis)) == hypothesis
    left, right = differences(hypothesis, reference)
    assert "".join(piece.text for piece in left) == hypothesis
    assert "".join(piece.text for piece in right) == reference


def test_what_is_shared_and_what_is_not():
    left, right = differences("ein großer Hund läuft", "der kleine Hund läuft schnell")
    assert left == [Piece("ein großer", False), Piece(" Hund läuft", True)]
    assert right == [
        Piece("der kleine", False),
        Piece(" Hund läuft", True),
        Piece(" schnell", False),
    ]
    left, right = differences("我爱上海。", "我爱北京。")
    assert left == [Piece("我爱", True), Piece("上海", False), Piece("。", True)]
    assert right[1] == Piece("北京", False)
    assert differences("相同", "相同") == ([Piece("相同", True)],) * 2


def test_long_texts_are_not_compared():
    left, right = differences("甲" * 1501, "乙")
    assert left == [Piece("甲" * 1501, True)]
    assert right == [Piece("乙", True)]


def test_the_nearest_reference_shares_most():
    assert nearest("今天天气很好", ("你好", "今天天气好", "天气")) == 1
    assert nearest("x", ("y",)) == 0
    assert nearest("x", ()) == 0
