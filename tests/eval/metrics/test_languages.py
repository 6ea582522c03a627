import pytest

from tflm.eval.metrics.languages import base_language


@pytest.mark.parametrize(
    "code, language",
    [
        ("de", "de"),
        ("EN", "en"),
        ("pt-BR", "pt"),
        ("zh", "zh"),
        ("zh-CN", "zh"),
        ("zh_Hant", "zh"),
        ("zho_Hans", "zh"),
        ("cmn", "zh"),
        ("yue_Hant", "zh"),
        ("jpn", "ja"),
        ("ja_JP", "ja"),
        ("kor_Hang", "ko"),
        ("tha_Thai", "th"),
        ("deu", "deu"),
    ],
)
def test_codes_and_tags_name_their_language(code, language):
    assert base_language(code) == language


@pytest.mark.parametrize("code", ["Chinese", "", "z", "中文"])
def test_something_else_than_a_code_is_refused(code):
    with pytest.raises(ValueError, match=f"`target_language` must be .* Received: .*='{code}'"):
        base_language(code)
