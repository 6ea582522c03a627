"""Words in a graph, and where they stand in their texts, counted in Unicode code points.

A word is a run of letters, digits and the marks on them. In scripts that write no spaces between
words (Chinese, Japanese, Thai and their kin) each character is one, and everywhere each sign is;
marks, and what zero-width joiners join, belong to the character before. White space is in no word.

    "Prix 2024: 3 km."   Prix  2024  :  3  km  .
    "他在北京。"         他  在  北  京  。
"""

import functools
from typing import Any, NamedTuple

import numpy as np
import regex
import tensorflow as tf

from tflm.tokenizers.rows import row_of_each
from tflm.tokenizers.unicode import NUM_CODE_POINTS, CodePointTable, characters

_SIGN, _LETTER, _MARK, _JOINER, _BLANK = range(5)
_KINDS = {  # later ones take characters from earlier ones
    _LETTER: r"[\p{L}\p{N}]",
    _SIGN: r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]",
    # Emoji's skin colours change the character before them, as marks do.
    _MARK: r"[\p{M}\p{Cf}\U0001F3FB-\U0001F3FF]",
    _JOINER: r"[\u200C\u200D]",
    _BLANK: r"\s",
}
_SURROGATES = slice(0xD800, 0xE000)  # no characters


class Words(NamedTuple):
    """The words of a batch of texts, one after the other.

    Attributes:
        texts: The texts, valid UTF-8, (B,).
        words: The words, (W,).
        starts: Where each begins in its text, int32, (W,).
        ends: Where each ends, int32, (W,).
        spaced: Whether white space stands in front of it, (W,).
        row_splits: Where each text starts among the words, int64, (B + 1,).
    """

    texts: Any
    words: Any
    starts: Any
    ends: Any
    spaced: Any
    row_splits: Any


class WordFinder(tf.Module):
    """Finds the words of texts."""

    def __init__(self) -> None:
        super().__init__(name="word_finder")
        self._kinds = CodePointTable(character_kinds())

    def find(self, texts: Any) -> Words:
        """The words of texts, (B,).

        Bytes that are not valid UTF-8 are read as U+FFFD; offsets count what was read.
        """
        found = characters(texts)
        kinds = self._kinds.lookup(found.codes)  # (C,)
        rows = row_of_each(found.row_splits)  # (C,)
        within = tf.range(tf.size(rows)) - tf.gather(tf.cast(found.row_splits, tf.int32), rows)
        before = tf.concat([[_BLANK], kinds], 0)[: tf.size(kinds)]  # (C,)
        at_start = within == 0
        before = tf.where(at_start, _BLANK, before)
        marks = (kinds == _MARK) | (kinds == _JOINER)
        # What stands in front of a character but for the marks on it, which can be a mark where a
        # text or a run of visible characters begins with one.
        bases = ~marks | (before == _BLANK)
        count = tf.cumsum(tf.cast(bases, tf.int32), exclusive=True)
        base = tf.gather(tf.concat([[_BLANK], kinds[bases]], 0), count)  # (C,)
        letters = (kinds == _LETTER) & (before != _BLANK) & (base != _SIGN)
        joins = marks | letters | ((kinds == _SIGN) & (before == _JOINER))
        visible = tf.where(kinds != _BLANK)[:, 0]
        starts = tf.gather(~joins | (before == _BLANK), visible)
        first = tf.where(starts)[:, 0]  # (W,), among the visible
        splits = tf.concat([first, [tf.size(visible, tf.int64)]], 0)  # (W + 1,)
        ragged: Any = tf.RaggedTensor  # whose stubs lack its class methods
        words = tf.strings.unicode_encode(
            ragged.from_row_splits(tf.gather(found.codes, visible), splits, validate=False), "UTF-8"
        )  # (W,)
        begin, last = tf.gather(visible, splits[:-1]), tf.gather(visible, splits[1:] - 1)  # (W,)
        spaced = (tf.gather(before, begin) == _BLANK) & ~tf.gather(at_start, begin)
        row_splits = tf.searchsorted(begin, found.row_splits, out_type=tf.int64)  # (B + 1,)
        return Words(
            found.texts,
            words,
            tf.gather(within, begin),
            tf.gather(within, last) + 1,
            spaced,
            row_splits,
        )


@functools.cache
def character_kinds() -> np.ndarray:
    """What each code point is, (0x110000,)."""
    kinds = np.full(NUM_CODE_POINTS, _SIGN, np.int32)
    every = "".join(
        chr(code) if not 0xD800 <= code < 0xE000 else "\0" for code in range(NUM_CODE_POINTS)
    )
    for kind, pattern in _KINDS.items():
        for match in regex.finditer(f"{pattern}+", every):
            kinds[match.start() : match.end()] = kind
    kinds[_SURROGATES] = _SIGN
    return kinds
