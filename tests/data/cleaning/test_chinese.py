import sys

import pytest

from tflm.data.cleaning import chinese
from tflm.data.cleaning.chinese import SimplifiedChinese, TraditionalChinese


@pytest.mark.parametrize(
    ("simplified", "traditional"),
    [
        ("汉语很难学。", "漢語很難學。"),
        ("皇后以后把头发弄干净", "皇后以後把頭髮弄乾淨"),
        ("为什么房子里面", "為什麼房子裡面"),
        ("他喜欢吃苹果😀", "他喜歡吃蘋果😀"),
        ("Python 3", "Python 3"),
    ],
)
def test_one_is_written_as_the_other(simplified, traditional):
    assert SimplifiedChinese().clean(traditional) == simplified
    assert TraditionalChinese().clean(simplified) == traditional


def test_what_is_traditional_already_stays():
    text = "任何人都知道貝爾發明了電話。"  # read as simplified: 發明瞭
    assert TraditionalChinese().clean(text) == text


def test_only_the_chinese_side_is_changed():
    row = ("東京の學校", "東京的學校")
    assert SimplifiedChinese("ja-zh_TW").begin(2)(row) == ("東京の學校", "东京的学校")
    assert SimplifiedChinese().begin(2)(row) == ("东京の学校", "东京的学校")
    assert TraditionalChinese("en").begin(1)(("汉语",)) == ("汉语",)


def test_a_missing_opencc_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "opencc", None)
    chinese._converter.cache_clear()
    with pytest.raises(ImportError, match=r"needs OpenCC.* pip install 'tflm\[chinese\]'"):
        SimplifiedChinese().clean("漢語")
