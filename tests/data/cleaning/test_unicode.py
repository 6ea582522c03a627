import unicodedata

import pytest

from tflm.data.cleaning.unicode import Unicode


def test_what_looks_alike_is_spelled_alike():
    assert Unicode().clean("cafe\u0301") == "café"
    assert Unicode("NFD").clean("é") == "e\u0301"
    assert Unicode().clean("한") == "한"


def test_chinese_punctuation_is_kept_unless_compatibility_is_asked_for():
    assert Unicode().clean("你好，ＡＢＣ！") == "你好，ＡＢＣ！"
    assert Unicode("NFKC").clean("你好，ＡＢＣ！") == "你好,ABC!"


def test_a_joined_emoji_stays_one():
    family = "👩\u200d👩\u200d👧\ufe0f"
    for form in ("NFC", "NFKC"):
        assert Unicode(form).clean(family) == family
        assert unicodedata.is_normalized(form, family)


def test_an_unknown_form_is_refused():
    with pytest.raises(ValueError, match="one of NFC, NFD, NFKC, NFKD. Received: 'NFX'"):
        Unicode("NFX")
