"""Scripts: texts that are written as their language is, each side of a pair on its own side.

It sees that a side is not in its language, or that the sides are swapped, where the languages have
different scripts. English on the German side it does not see.
"""

import dataclasses
import functools
from typing import ClassVar

import regex

from tflm.data.cleaning.steps import Apply, Row, Step, languages_of

# Scripts that write no spaces between words: a character counts as a word.
WITHOUT_SPACES = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"

_WORD = regex.compile(
    rf"[{WITHOUT_SPACES}]\p{{M}}*|[\p{{L}}--[{WITHOUT_SPACES}]][[\p{{L}}\p{{M}}]--[{WITHOUT_SPACES}]]*",
    regex.V1,
)
_LANGUAGES = {
    "Latin": "af ca cs cy da de en eo es et eu fi fr ga gl hr hu id is it la lt lv ms nb nl nn no "
    "pl pt ro sk sl sq sv sw tl tr vi",
    "Cyrillic": "be bg kk ky mk mn ru tg uk",
    "Latin Cyrillic": "az bs sr uz",
    "Arabic": "ar fa ps ur",
    "Hebrew": "he yi",
    "Greek": "el",
    "Armenian": "hy",
    "Georgian": "ka",
    "Devanagari": "hi mr ne",
    "Bengali": "bn",
    "Gujarati": "gu",
    "Kannada": "kn",
    "Malayalam": "ml",
    "Gurmukhi": "pa",
    "Sinhala": "si",
    "Tamil": "ta",
    "Telugu": "te",
    "Thai": "th",
    "Lao": "lo",
    "Khmer": "km",
    "Myanmar": "my",
    "Ethiopic": "am",
    "Han Bopomofo": "zh",
    "Han Hiragana Katakana": "ja",
    "Hangul Han": "ko",
}
SCRIPTS = {code: names.split() for names, codes in _LANGUAGES.items() for code in codes.split()}


@dataclasses.dataclass(frozen=True)
class Script(Step):
    """Rows of which each text has most of its words in its language's script.

    A word counts by its first letter, so that a long foreign name weighs no more than a short one;
    of a script without spaces every character counts. A text without letters is kept.

    Args:
        languages: Codes of the texts' languages, see `Step`.
        min_share: The least share of words in the expected scripts.

    Raises:
        ValueError: `languages` is missing, of another number (from `begin`) or names one that is
            unknown; `min_share` is no share.
    """

    NAME: ClassVar[str] = "script"

    languages: str = ""
    min_share: float = 0.5

    def __post_init__(self) -> None:
        for code in languages_of(self.languages, self.languages.count("-") + 1):
            if code not in SCRIPTS:
                raise ValueError(
                    f"`languages` of `script` must be of {', '.join(sorted(SCRIPTS))}. "
                    f"Received: languages={self.languages!r}"
                )
        if not 0.0 <= self.min_share <= 1.0:
            raise ValueError(
                f"`min_share` must be between 0 and 1. Received: min_share={self.min_share}"
            )

    def begin(self, num_texts: int) -> Apply:
        """Rows whose texts are all in their scripts."""
        codes = languages_of(self.languages, num_texts)

        def apply(row: Row) -> Row | None:
            shares = (script_share(text, code) for text, code in zip(row, codes, strict=True))
            return row if all(share >= self.min_share for share in shares) else None

        return apply


def script_share(text: str, language: str) -> float:
    """The share of a text's words in a script of its language, 1 without any word.

    Args:
        text: The text.
        language: A code of two letters, one of `SCRIPTS`.
    """
    words = _WORD.findall(text)
    expected = _first_letter(language)
    found = sum(expected.match(word) is not None for word in words)
    return found / len(words) if words else 1.0


@functools.cache
def _first_letter(language: str) -> regex.Pattern[str]:
    # Letters of no script of their own, the long-vowel mark of kana say, suit any.
    names = "".join(rf"\p{{Script={name}}}" for name in (*SCRIPTS[language], "Common", "Inherited"))
    return regex.compile(f"[{names}]")
