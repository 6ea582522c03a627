"""Traditional and simplified Chinese, one written as the other.

By OpenCC's tables and its pure Python port, which the extra `chinese` installs.
"""

import dataclasses
import functools
from typing import Any, ClassVar

from tflm.data.cleaning.steps import Clean, TextStep, languages_of


class _ChineseStep(TextStep):
    """Changes the texts whose language is Chinese; all of them where none is told."""

    languages: str

    def cleans(self, num_texts: int) -> list[Clean]:
        """`clean` for Chinese, and nothing for other languages."""
        if not self.languages:
            return [self.clean] * num_texts
        codes = languages_of(self.languages, num_texts)
        return [self.clean if code == "zh" else str for code in codes]


@dataclasses.dataclass(frozen=True)
class SimplifiedChinese(_ChineseStep):
    """Chinese in simplified characters: 漢語 becomes 汉语.

    A character that simplified Chinese has too stays, 著 for 着 in Taiwan say.

    Args:
        languages: Codes of the texts' languages, see `Step`: Japanese keeps its own characters.

    Raises:
        ImportError: From use: OpenCC is not installed.
    """

    NAME: ClassVar[str] = "simplified_chinese"

    languages: str = ""

    def clean(self, text: str) -> str:
        """The text in simplified characters."""
        convert = _converter("t2s").convert
        while (simpler := convert(text)) != text:  # 薴 becomes 苧, which becomes 苎
            text = simpler
        return text


@dataclasses.dataclass(frozen=True)
class TraditionalChinese(_ChineseStep):
    """Chinese in traditional characters as Taiwan writes them: 汉语 becomes 漢語.

    One simplified character may stand for several traditional ones; the words around it decide. A
    text that has traditional characters already stays as it is: read as simplified, some of its
    words would go wrong.

    Args:
        languages: Codes of the texts' languages, see `Step`: Japanese keeps its own characters.

    Raises:
        ImportError: From use: OpenCC is not installed.
    """

    NAME: ClassVar[str] = "traditional_chinese"

    languages: str = ""

    def clean(self, text: str) -> str:
        """The text in traditional characters."""
        simplify, convert = _converter("t2s").convert, _converter("s2tw").convert
        while simplify(text) == text and (longer := convert(text)) != text:
            text = longer  # 幺 becomes 么, which becomes 麼
        return text


@functools.cache
def _converter(name: str) -> Any:
    try:
        import opencc
    except ImportError as error:
        raise ImportError(
            "converting Chinese needs OpenCC, which is not installed: pip install 'tflm[chinese]'"
        ) from error
    return opencc.OpenCC(name)
