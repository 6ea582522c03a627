"""Where words and sentences begin in rows of ids, whatever the tokenizer.

A word begins at a space (U+2581 of SentencePiece, the leading space of byte-level BPE, the lack of
"##" of WordPiece), at a sign that is no letter, digit or mark, and behind one: BERT's words.
Scripts that write no spaces between words (Chinese, Japanese, Thai and their kin) do not say where
words are: there every piece that begins with a character is one, a character of WordPiece or what
SentencePiece has found to stand together. A piece that goes on inside a character begins nothing.
"""

import unicodedata
from typing import Any

import numpy as np

from tflm.tokenizers.pieces import Pieces

# Characters of scripts without spaces: Thai to Tibetan, Burmese, Khmer, the East Asian ones but for
# Hangul.
_ALONE = (
    (0x0E00, 0x109F), (0x1780, 0x17FF), (0x2E80, 0x312F), (0x3190, 0x9FFF), (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F), (0x20000, 0x3FFFF),
)  # fmt: skip
_SENTENCE_ENDS = tuple(mark.encode() for mark in ".!?…。！？\n")
_CONTINUATION = range(0x80, 0xC0)  # bytes of UTF-8 that are not a character's first


class Words:
    """Finds the beginnings of words and sentences in ids.

    Args:
        pieces: Of the tokenizer that gave the ids.
    """

    def __init__(self, pieces: Pieces):
        spelled = pieces.spelled
        self._special = pieces.special  # (V,), as all that follow
        self._begins = np.array([_begins_word(each) for each in spelled])
        self._ends = np.array([_ends_word(each) for each in spelled])
        self._blank = np.array([not each.strip(b" ") for each in spelled]) & ~pieces.special
        self._ends_sentence = np.array([each.endswith(_SENTENCE_ENDS) for each in spelled])

    def starts(self, ids: Any) -> np.ndarray:
        """Which tokens begin a word; a special token is one by itself.

        Args:
            ids: (..., T) integers.

        Returns:
            Boolean (..., T).
        """
        ids = np.asarray(ids)
        starts = np.ones(ids.shape, bool)
        before, after = ids[..., :-1], ids[..., 1:]
        starts[..., 1:] = self._begins[after] | self._ends[before]
        starts[..., 1:] &= ~self._blank[before]  # a space is part of the word behind it
        starts[..., 1:] |= self._special[before] | self._special[after]
        return starts

    def sentence_starts(self, ids: Any) -> np.ndarray:
        """Which tokens begin a sentence: those behind a full stop; of several, behind the last.

        Args:
            ids: (T,) integers.

        Returns:
            Boolean (T,).
        """
        ends = self._ends_sentence[np.asarray(ids)]
        starts = np.ones(ends.shape, bool)
        starts[1:] = ends[:-1] & ~ends[1:]
        return starts


def _begins_word(spelled: bytes) -> bool:
    if not spelled or spelled[0] in _CONTINUATION:
        return False
    size = 1 + sum(spelled[0] >= least for least in (0xC0, 0xE0, 0xF0))
    # Of a character whose first bytes alone are here: one of the same script, more or less.
    first = spelled[:size].ljust(size, b"\xbf").decode(errors="replace")[0]
    return unicodedata.category(first)[0] != "M" and _stands_alone(first)


def _ends_word(spelled: bytes) -> bool:
    """Whether a word is sure to end behind it; inside a character none does."""
    last = spelled.decode(errors="replace")[-1:]
    return bool(last) and last != "\ufffd" and _stands_alone(last)


def _stands_alone(character: str) -> bool:
    """Whether a character is no part of a word that has others."""
    if any(first <= ord(character) <= last for first, last in _ALONE):
        return True
    return unicodedata.category(character)[0] not in "LNM"
