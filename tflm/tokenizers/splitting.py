r"""Texts to words in a graph, as byte-level BPE cuts them before it merges.

Each rule is a regular expression with a look-ahead, which RE2 does not know. Here the cuts are
worked out from what the characters and their neighbours are, for all characters at once, and no
regular expression runs. In the comments L, N, S and O are characters that match `\p{L}`, `\p{N}`,
`\s` and none of the three.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_text
from tokenizers import Regex, pre_tokenizers

from tflm.tokenizers.unicode import (
    LETTER,
    NUMBER,
    OTHER,
    SPACE,
    CodePointClasses,
    is_digit,
    regex_classes,
)

# Beside the classes of `regex_classes`: the space itself, what stands between two texts, and a
# character that `Digits` isolates. The last two end a text for their neighbours.
_BLANK, _EDGE, _DIGIT = 4, 5, 6
_BITS = 3  # of a class
_MARK = b"\0"  # put around texts; what makes it an edge is its place
_LONG_S = 0x17F  # an "s" where case does not count


class WordSplitter(tf.Module):
    """Cuts texts into words.

    Args:
        rule: A key of `RULES`: "gpt2" (GPT-2, RoBERTa, BART, OPT), "gpt2_digits" (the same with
            each digit by itself: SmolLM), "llama3" or "qwen2".

    Raises:
        ValueError: `rule` is unknown.
    """

    def __init__(self, rule: str):
        super().__init__(name="word_splitter")
        check_rule(rule)
        self._starts, _, digits_alone = RULES[rule]
        classes = regex_classes().copy()
        classes[ord(" ")] = _BLANK
        if digits_alone:
            classes[is_digit()] = _DIGIT
        self._classes = CodePointClasses(classes)
        with tf.init_scope():
            self._gpt2_table = tf.constant(_gpt2_table())

    def split(self, texts: Any) -> Any:
        """The words of texts, (B,) -> ragged (B, None); joined they are the texts again."""

        def decoded(texts: Any) -> tuple[Any, ...]:
            joined = tf.strings.reduce_join(tf.strings.join([texts, _MARK]))
            joined = tf.strings.join([_MARK, joined])[tf.newaxis]  # (1,)
            codes, offsets = tf.strings.unicode_decode_with_offsets(
                joined, "UTF-8", errors="replace"
            )
            sizes = tf.cast(tf.strings.length(texts), tf.int64)
            return joined, codes.flat_values, offsets.flat_values, sizes

        def repaired() -> tuple[Any, ...]:
            return decoded(tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace"))

        found = decoded(texts)
        suspect = tf.reduce_any(found[1] == 0xFFFD)
        joined, codes, offsets, sizes = tf.cond(suspect, repaired, lambda: found)
        # The marks, found by where they stand: a text may hold the same character.
        marks = tf.concat([[0], tf.cumsum(sizes + len(_MARK))], 0)  # (B + 1,)
        marks = tf.searchsorted(offsets, marks)  # (B + 1,), among the characters
        classes = tf.tensor_scatter_nd_update(
            self._classes.lookup(codes), marks[:, tf.newaxis], tf.fill(tf.shape(marks), _EDGE)
        )  # (C,)
        if self._starts is None:
            starts = tf.gather(self._gpt2_table, _neighbours(classes))  # (C,)
            starts = _with_contractions(codes, starts, ignore_case=False)
        else:
            starts = self._starts(codes, classes)  # (C,)
        at = tf.cast(tf.where(starts)[:, 0], tf.int32)  # (W + B + 1,), marks too
        begin = tf.cast(tf.gather(offsets, at), tf.int32)
        end = _right(begin, 0)
        words = tf.where(tf.gather(classes, at) != _EDGE)[:, 0]  # (W,)
        row_splits = tf.searchsorted(at, marks) - tf.range(tf.size(marks))  # (B + 1,)
        ragged: Any = tf.RaggedTensor  # whose stubs lack its class methods

        def one_row(values: Any) -> Any:
            return ragged.from_row_lengths(
                tf.gather(values, words), tf.shape(words, tf.int64), validate=False
            )

        cut = tensorflow_text.ByteSplitter().split_by_offsets(joined, one_row(begin), one_row(end))
        row_splits = tf.cast(row_splits, tf.int64)
        return ragged.from_row_splits(cut.flat_values, row_splits, validate=False)


def check_rule(rule: str) -> None:
    """Do nothing if there is such a rule.

    Raises:
        ValueError: There is none.
    """
    if rule not in RULES:
        raise ValueError(f"`split` must be one of {', '.join(RULES)}. Received: {rule!r}")


def pre_tokenizer(rule: str) -> pre_tokenizers.PreTokenizer:
    """The rule as Hugging Face `tokenizers` runs it, ending in GPT-2's alphabet of bytes."""
    _, expression, digits_alone = RULES[rule]
    if expression == _GPT2:
        cut = pre_tokenizers.ByteLevel(add_prefix_space=False)
        digits = pre_tokenizers.Digits(individual_digits=True)
        return pre_tokenizers.Sequence([digits, cut]) if digits_alone else cut
    cut = pre_tokenizers.Split(Regex(expression), "isolated")
    spell = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return pre_tokenizers.Sequence([cut, spell])


def _left(values: Any, edge: Any) -> Any:
    """The value of each character's left neighbour."""
    return tf.concat([tf.constant([edge], values.dtype), values[:-1]], 0)  # (C,)


def _right(values: Any, edge: Any) -> Any:
    """The value of each character's right neighbour."""
    return tf.concat([values[1:], tf.constant([edge], values.dtype)], 0)  # (C,)


def _is_one_of(codes: Any, characters: str) -> Any:
    found = codes == ord(characters[0])
    for character in characters[1:]:
        found |= codes == ord(character)
    return found


def _neighbours(classes: Any) -> Any:
    """The class of a character, of the one before and of the one behind, as one number."""
    pair = _left(classes, _EDGE) * (1 << _BITS) + classes
    return pair * (1 << _BITS) + _right(classes, _EDGE)


def _gpt2_table() -> np.ndarray:
    """Whether a word of GPT-2's expression starts, by `_neighbours`.

    's|'t|'re|'ve|'m|'ll|'d| ?L+| ?N+| ?O+|S+(?!not S)|S+
    """
    spaces, visible = (SPACE, _BLANK), (LETTER, NUMBER, OTHER)
    table = np.ones([1 << _BITS] * 3, bool)
    for before, this, behind in np.ndindex(*table.shape):
        if this in spaces:
            # A run of spaces leaves out its last one in front of something.
            table[before, this, behind] = before not in spaces or behind in visible
        elif this in visible:
            table[before, this, behind] = before not in (this, _BLANK)
    return table.reshape(-1)


def _llama3_starts(codes: Any, classes: Any) -> Any:
    return _tiktoken_starts(codes, classes, digits=3)


def _qwen2_starts(codes: Any, classes: Any) -> Any:
    return _tiktoken_starts(codes, classes, digits=1)


def _tiktoken_starts(codes: Any, classes: Any, digits: int) -> Any:
    r"""Where the words of the expression of `cl100k_base` and its kin start, (C,) bool.

    (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\nLN]?L+|N{1,digits}| ?O+[\r\n]*|S*[\r\n]+|S+(?!not S)|S+
    """
    before, behind = _left(classes, _EDGE), _right(classes, _EDGE)
    is_space = (classes == SPACE) | (classes == _BLANK)
    is_newline = is_space & _is_one_of(codes, "\r\n")
    # Line ends behind O belong to its word.
    newline_run = _Runs(is_newline & ~_left(is_newline, False))
    is_space &= ~(is_newline & newline_run.at_start(before == OTHER))
    # Of a run of spaces, all up to its last line end is one word, and the rest another, which
    # leaves out the last space if something else follows.
    opens_run = is_space & ~_left(is_space, False)
    index = tf.range(tf.size(codes))
    last_newline = _Runs(opens_run).maximum(tf.where(is_newline & is_space, index, -1))
    behind_newline = ~opens_run & (index - 1 == last_newline)
    visible = (behind == LETTER) | (behind == NUMBER) | (behind == OTHER)
    ends_run = is_space & visible & ~is_newline
    space_starts = is_space & (opens_run | behind_newline | ends_run)
    # What one character opens: letters any of S (no line end) or a single O, O only " ".
    other_starts = (classes == OTHER) & (before != OTHER) & (before != _BLANK)
    opens_letters = ends_run | (other_starts & (behind == LETTER))
    letter_starts = (classes == LETTER) & (before != LETTER) & ~_left(opens_letters, False)
    number_starts = classes == NUMBER
    if digits > 1:
        number_run = _Runs(number_starts & (before != NUMBER))
        number_starts &= number_run.distance() % digits == 0
    starts = (classes == _EDGE) | space_starts | other_starts | letter_starts | number_starts
    return _with_contractions(codes, starts, ignore_case=True)


def _with_contractions(codes: Any, starts: Any, ignore_case: bool) -> Any:
    """`starts` with the words 's 't 're 've 'm 'll 'd wherever one of them can start."""
    at = tf.where(starts & (codes == ord("'")))[:, 0]  # apostrophes, (A,)
    last = tf.size(codes, tf.int64) - 1
    second = tf.gather(codes, tf.minimum(at + 1, last))
    third = tf.gather(codes, tf.minimum(at + 2, last))

    def letter(codes: Any, lower: str) -> Any:
        found = _is_one_of(codes, lower + lower.upper() * ignore_case)
        return found | (codes == _LONG_S) if ignore_case and "s" in lower else found

    two = letter(second, "stmd")
    three = letter(second, "rv") & letter(third, "e") | letter(second, "l") & letter(third, "l")
    # The letter behind an apostrophe starts nothing; what stands behind the contraction does.
    behind = at + tf.where(two, tf.constant(2, tf.int64), 3)
    found = two | three
    for places, value in ((at + 1, False), (behind, True)):
        places = tf.boolean_mask(places, found)[:, tf.newaxis]
        starts = tf.tensor_scatter_nd_update(starts, places, tf.fill(tf.shape(places)[:1], value))
    return starts


class _Runs:
    """Runs of characters, of which only the starts are given: (C,) bool."""

    def __init__(self, starts: Any):
        self._index = tf.range(tf.size(starts))
        self._number = tf.cumsum(tf.cast(starts, tf.int32))  # (C,), 0 before the first run
        self._start = tf.concat([[0], tf.boolean_mask(self._index, starts)], 0)  # (runs + 1,)

    def at_start(self, values: Any) -> Any:
        """The value at the start of each character's run."""
        return tf.gather(tf.concat([values, values[:1]], 0), tf.gather(self._start, self._number))

    def distance(self) -> Any:
        """How far each character is behind the start of its run."""
        return self._index - tf.gather(self._start, self._number)

    def maximum(self, values: Any) -> Any:
        """The largest value of each character's run."""
        largest = tf.math.unsorted_segment_max(values, self._number, tf.size(self._start))
        return tf.gather(largest, self._number)


class _Rule(NamedTuple):
    starts: Callable[[Any, Any], Any] | None  # None: by `_gpt2_table`
    expression: str  # as a `tokenizer.json` has it
    digits_alone: bool


_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
RULES = {
    "gpt2": _Rule(None, _GPT2, False),
    "gpt2_digits": _Rule(None, _GPT2, True),
    "llama3": _Rule(_llama3_starts, _LLAMA3, False),
    "qwen2": _Rule(_qwen2_starts, _LLAMA3.replace("{1,3}", ""), False),
}
