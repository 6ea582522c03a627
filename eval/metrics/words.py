"""Words of any script, for the metrics that count words.

rouge-score's own tokenizer keeps a-z and 0-9 and drops every other letter, so text in another
script has no words at all. Here a word is

    a character with its marks   in a script written without spaces: Chinese, Japanese, Thai, Lao,
                                 Khmer, Myanmar and the Tai scripts
    a run of letters and digits  in every other script, and in the Latin words and numbers inside
                                 Chinese text

On ASCII text both tokenizers give the same words (tested).
"""

import functools
import unicodedata

import regex

# The scripts of Unicode's line breaking classes ID and SA (UAX 14) that are written without spaces;
# Korean has spaces. The long vowel mark of Japanese belongs to no single script.
_UNSPACED = (
    r"[\p{Han}\p{Hiragana}\p{Katakana}\u30FC\p{Bopomofo}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
    r"\p{Tai_Le}\p{New_Tai_Lue}\p{Tai_Tham}\p{Tai_Viet}]"
)
_CHARACTER = rf"(?=[\p{{L}}\p{{N}}]){_UNSPACED}\p{{M}}*"
# The two joiners stand inside words of Persian and of Indian languages.
_RUN = rf"(?:(?!{_UNSPACED})[\p{{L}}\p{{N}}][\p{{M}}\u200C\u200D]*)+"
_WORDS = regex.compile(f"{_CHARACTER}|{_RUN}")
_WORDS_AND_MARKS = regex.compile(rf"{_CHARACTER}|{_RUN}|[\p{{P}}\p{{S}}]\p{{M}}*")

# The tokens of a text are asked for once per metric and n-gram length, close together in time.
_CACHED_TEXTS = 4096


@functools.lru_cache(_CACHED_TEXTS)
def words(text: str) -> tuple[str, ...]:
    """Return the words of a text in any script, in lower case, without punctuation.

        >>> words("Größe: 2024年，GPT-4 很大")
        ('größe', '2024', '年', 'gpt', '4', '很', '大')

    Full-width letters equal their usual forms, and so do the composed and the decomposed form of a
    letter with an accent: the text is brought to Unicode's normalization form KC.
    """
    return tuple(_WORDS.findall(_normalized(text)))


@functools.lru_cache(_CACHED_TEXTS)
def words_and_marks(text: str) -> tuple[str, ...]:
    """Return `words` with each punctuation mark and symbol between them as one more token."""
    return tuple(_WORDS_AND_MARKS.findall(_normalized(text)))


def _normalized(text: str) -> str:
    return text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).lower()
