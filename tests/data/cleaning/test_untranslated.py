import pytest

from tflm.data.cleaning.untranslated import Untranslated


@pytest.mark.parametrize(
    ("row", "kept"),
    [
        (("I like tea.", "我喜欢喝茶。"), True),
        (("I like tea.", "i like  tea. "), False),
        (("东京", "东京"), False),
        (("straße", "STRASSE"), False),
        (("😀", "😂"), True),
        (("alone",), True),
    ],
)
def test_a_copy_is_no_translation(row, kept):
    assert Untranslated().keeps(row) == kept
