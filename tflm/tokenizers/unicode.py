"""Characters in a graph: strings to code points, and what each code point is.

Hugging Face `tokenizers` decides what a letter, a space or a punctuation mark is by Unicode tables
of its own, newer or older than those of TensorFlow's RE2 and ICU and of Python. So the tables here
are asked from that library, one code point at a time, when a tokenizer is made; they travel with
the graph as constants.
"""

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tokenizers import Regex, normalizers, pre_tokenizers

NUM_CODE_POINTS = 0x110000
OTHER, LETTER, NUMBER, SPACE = range(4)
WORD, ISOLATED, BLANK = range(3)
KIND_SHIFT = 21  # code points have 21 bits

_REPLACEMENT = 0xFFFD
_PAGE_BITS = 7
# What is left out has no properties (planes 4 to 13, the end of 14) or those of `_PRIVATE`.
_ASKED = [*range(0xD800), *range(0xE000, 0x40000), *range(0xE0000, 0xE1000), 0xF0000]
_PRIVATE = slice(0xF0000, 0xFFFFE), slice(0x100000, 0x10FFFE)
_BATCH = 1024  # the library's time grows faster than the text


class Characters(NamedTuple):
    """The characters of a batch of texts, one after the other.

    Attributes:
        texts: The texts, valid UTF-8, (B,).
        codes: Code points, int32, (C,).
        offsets: Where each character starts in its text, in bytes, int64, (C,).
        row_splits: Where each text starts among the characters, int64, (B + 1,).
    """

    texts: Any
    codes: Any
    offsets: Any
    row_splits: Any


def characters(texts: Any) -> Characters:
    """The characters of `texts`, (B,); bytes that are not valid UTF-8 are read as U+FFFD."""

    def decoded(texts: Any) -> Characters:
        codes, offsets = tf.strings.unicode_decode_with_offsets(texts, "UTF-8", errors="replace")
        return Characters(texts, codes.flat_values, offsets.flat_values, codes.row_splits)

    def repaired() -> Characters:
        return decoded(tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace"))

    found = decoded(texts)
    return tf.cond(tf.reduce_any(found.codes == _REPLACEMENT), repaired, lambda: found)


class CodePointTable(tf.Module):
    """One int32 per code point, looked up in a graph by two gathers.

    Args:
        values: The integers, (0x110000,).
    """

    def __init__(self, values: np.ndarray):
        super().__init__(name="code_point_table")
        pages = values.astype(np.int32).reshape(-1, 1 << _PAGE_BITS)
        pages, page_of = np.unique(pages, axis=0, return_inverse=True)
        with tf.init_scope():
            self._start = tf.constant(page_of.reshape(-1) << _PAGE_BITS, tf.int32)
            self._values = tf.constant(pages.reshape(-1), tf.int32)

    def lookup(self, codes: Any) -> Any:
        """The integers of code points, (C,) -> (C,)."""
        start = tf.gather(self._start, tf.bitwise.right_shift(codes, _PAGE_BITS))  # (C,)
        within = tf.bitwise.bitwise_and(codes, (1 << _PAGE_BITS) - 1)  # (C,)
        return tf.gather(self._values, start + within)  # (C,)


class CodePointClasses(tf.Module):
    """One number below 256 per code point, looked up in a graph by one gather.

    Args:
        values: The numbers, (0x110000,). What the last code points have alike is stored once.
    """

    def __init__(self, values: np.ndarray):
        super().__init__(name="code_point_classes")
        self._last = 1 + int(np.flatnonzero(values != values[-1])[-1])
        with tf.init_scope():
            self._values = tf.constant(values[: self._last + 1], tf.uint8)

    def lookup(self, codes: Any) -> Any:
        """The numbers of code points, (C,) -> int32 (C,)."""
        found = tf.gather(self._values, tf.minimum(codes, self._last))  # (C,)
        return tf.cast(found, tf.int32)


@functools.cache
def regex_classes() -> np.ndarray:
    r"""`LETTER`, `NUMBER`, `SPACE` or `OTHER`: what `\p{L}`, `\p{N}`, `\s` match, (0x110000,)."""
    classes = np.full(NUM_CODE_POINTS, OTHER, np.int32)
    for number, pattern in ((LETTER, r"\p{L}"), (NUMBER, r"\p{N}"), (SPACE, r"\s")):
        rest = normalizers.Replace(Regex(f"[^{pattern}]+"), "")
        for codes in _batches():
            kept = rest.normalize_str("".join(map(chr, codes)))
            classes[[ord(character) for character in kept]] = number
    return classes


@functools.cache
def is_digit() -> np.ndarray:
    """Which code points the `Digits` pre-tokenizer takes for digits, (0x110000,) bool."""
    found = np.zeros(NUM_CODE_POINTS, bool)
    for codes in _batches():
        found[_alone_and_removed(pre_tokenizers.Digits(individual_digits=True), codes)[0]] = True
    return found


@functools.cache
def bert_characters(
    clean_text: bool, split_chinese: bool, strip_accents: bool, lowercase: bool
) -> tuple[np.ndarray, list[list[int]]]:
    """What BERT's normalizer and pre-tokenizer make of each code point by itself.

    Returns:
        (0x110000,) int32 and a list. An entry c + (k << KIND_SHIFT) is the character c of kind k
        (`WORD`, `ISOLATED`, which is a word by itself, or `BLANK`); -1 stands for no character,
        and -2 - i for the several characters of entry i of the list, each in this form.
    """
    kinds = _bert_kinds()
    normalizer = normalizers.BertNormalizer(clean_text, False, strip_accents, lowercase)
    chinese = normalizers.BertNormalizer(False, split_chinese, False, False)
    values = np.arange(NUM_CODE_POINTS, dtype=np.int32)
    several: dict[tuple[int, ...], int] = {}
    for codes in _batches():
        images = _separately(normalizer, codes)
        for code, image, spaced in zip(codes, images, _separately(chinese, codes), strict=True):
            found = [
                ord(c) + ((ISOLATED if len(spaced) > 1 else int(kinds[ord(c)])) << KIND_SHIFT)
                for c in image
            ]
            values[code] = found[0] if len(found) == 1 else -1
            if len(found) > 1:
                values[code] = -2 - several.setdefault(tuple(found), len(several))
    if values[0xF0000] == -1:
        for plane in _PRIVATE:
            values[plane] = -1
    return values, [list(entry) for entry in several]


@functools.cache
def _bert_kinds() -> np.ndarray:
    kinds = np.full(NUM_CODE_POINTS, WORD, np.int32)
    for codes in _batches():
        isolated, blank = _alone_and_removed(pre_tokenizers.BertPreTokenizer(), codes)
        kinds[isolated], kinds[blank] = ISOLATED, BLANK
    return kinds


def _batches() -> Iterator[list[int]]:
    for start in range(0, len(_ASKED), _BATCH):
        yield _ASKED[start : start + _BATCH]


def _separately(normalizer: normalizers.Normalizer, codes: list[int]) -> list[str]:
    """What becomes of each code point; the sign between them must not change and does not."""
    rest = [code for code in codes if code != ord("|")]
    images = normalizer.normalize_str("|".join(map(chr, rest))).split("|")
    image_of = dict(zip(rest, images, strict=True))
    return [image_of.get(code, "|") for code in codes]


def _alone_and_removed(
    splitter: pre_tokenizers.PreTokenizer, codes: list[int]
) -> tuple[list[int], list[int]]:
    """The code points that are pieces by themselves between letters, and those that vanish."""
    alone, inside = set(), set()
    for _, (start, end) in splitter.pre_tokenize_str("a" + "".join(chr(c) + "a" for c in codes)):
        inside.update(range(start, end))
        if end == start + 1:
            alone.add(start)
    where = range(1, 2 * len(codes), 2)
    isolated = [code for code, at in zip(codes, where, strict=True) if at in alone]
    removed = [code for code, at in zip(codes, where, strict=True) if at not in inside]
    return isolated, removed
