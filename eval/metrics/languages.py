"""Language codes, as far as metrics need them: which languages are written without spaces."""

import re

# Other codes in use for the languages whose text needs its own segmentation: ISO 639-3 and 639-2,
# the codes of Tatoeba and FLORES, and two country codes often seen in file names, which are no
# language's code.
_ALIASES = {
    "cmn": "zh",
    "zho": "zh",
    "chi": "zh",
    "yue": "zh",
    "wuu": "zh",
    "lzh": "zh",
    "cn": "zh",
    "jpn": "ja",
    "jp": "ja",
    "kor": "ko",
    "tha": "th",
    "lao": "lo",
    "khm": "km",
    "mya": "my",
}


def base_language(code: str) -> str:
    """Return the language of a code or tag: `"zh"` for `"zh-CN"`, `"zh_Hant"`, `"cmn"`,
    `"zho_Hans"`.

    Raises:
        ValueError: When `code` is not a language code.
    """
    if not code:
        raise ValueError(
            "`target_language` must be given, 'de' or 'zh' say: metrics split text by it. "
            "Received: target_language=''"
        )
    language = re.split("[-_]", code)[0].lower()
    if not re.fullmatch("[a-z]{2,3}", language):
        raise ValueError(
            "`target_language` must be a language code, such as 'en', 'de', 'zh-CN' or 'cmn'. "
            f"Received: target_language={code!r}"
        )
    return _ALIASES.get(language, language)
