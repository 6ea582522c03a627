import pytest

from tflm.data.cleaning.length_ratio import LengthRatio


def test_a_translation_is_about_as_long():
    step = LengthRatio()
    assert step.keeps(("She gave me some good advice.", "她给了我一些很好的建议。"))
    assert not step.keeps(("Yes.", "她给了我一些很好的建议，我想了很久。"))
    assert not step.keeps(
        ("他走了。", "He left, and nobody has ever seen him in the town again since then.")
    )


def test_the_greatest_ratio_is_still_kept():
    step = LengthRatio(max=3.0, unit="characters")
    assert step.keeps(("abcdef", "ab"))
    assert not step.keeps(("ab", "abcdefg"))
    assert LengthRatio(max=3.0, unit="words").keeps(("!", "one two 三"))


def test_what_has_no_ratio_is_refused():
    with pytest.raises(ValueError, match="must be given pairs of texts. Received: 1 text a row"):
        LengthRatio().begin(1)
    for ratio in (0.5, float("nan")):
        with pytest.raises(ValueError, match=f"`max` must be at least 1. Received: max={ratio}"):
            LengthRatio(ratio)
    with pytest.raises(ValueError, match="`unit` must be one of bytes, .* unit='lines'"):
        LengthRatio(unit="lines")
    assert LengthRatio().begin(2)(("a", "b")) == ("a", "b")
