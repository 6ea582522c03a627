r"""Texts to words in a graph, as byte-level BPE cuts them before it merges.

Each rule is a regular expression with a look-ahead, which RE2 does not know. Here the cuts are
worked out from what the characters and their neighbours are, for all characters at once, and no
regular expression runs. In the comments L, N, S and O are characters that match `\p{L}`, `\p{N}`,
`\s` and none of the three.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf
import tensorflow_text
from tokenizers import Regex, pre_tokenizers

from tflm.tokenizers.rows import row_of_each
from tflm.tokenizers.unicode import (
    LETTER,
    NUMBER,
    OTHER,
    SPACE,
    Characters,
    CodePointTable,
    characters,
    is_digit,
    regex_classes,
)

_EDGE = -1  # code and class of what stands before and after a text
_DIGIT = 4  # added to the class of a character that `Digits` isolates
_LONG_S = "\u017f"  # an "s" where case does not count


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
        self._starts, _, self._digits_alone = RULES[rule]
        classes = regex_classes().copy()
        if self._digits_alone:
            classes[is_digit()] += _DIGIT
        self._classes = CodePointTable(classes)

    def split(self, texts: Any) -> Any:
        """The words of texts, (B,) -> ragged (B, None); joined they are the texts again."""
        found = characters(texts)
        rows = row_of_each(found.row_splits)  # (C,)
        first = rows != _left(rows, -1)
        last = rows != _right(rows, -1)
        classes = self._classes.lookup(found.codes)  # (C,)
        if self._digits_alone:
            digits = classes >= _DIGIT
            classes = tf.bitwise.bitwise_and(classes, _DIGIT - 1)
            first |= digits | _left(digits, False)
            last |= digits | _right(digits, False)
        starts = self._starts(_Line(found.codes, classes, first, last))  # (C,)
        return _cut(found, rows, starts)


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


class _Line(NamedTuple):
    """Characters one after the other, each (C,), with the edges of texts."""

    codes: Any
    classes: Any
    first: Any
    last: Any

    def before(self, values: Any, edge: Any = _EDGE) -> Any:
        """The value of each character's left neighbour."""
        return tf.where(self.first, edge, _left(values, edge))

    def after(self, values: Any, edge: Any = _EDGE) -> Any:
        """The value of each character's right neighbour."""
        return tf.where(self.last, edge, _right(values, edge))


def _left(values: Any, edge: Any) -> Any:
    return tf.concat([tf.constant([edge], values.dtype), values], 0)[:-1]  # (C,)


def _right(values: Any, edge: Any) -> Any:
    return tf.concat([values, tf.constant([edge], values.dtype)], 0)[1:]  # (C,)


def _is_one_of(codes: Any, characters_: str) -> Any:
    found = codes == ord(characters_[0])
    for character in characters_[1:]:
        found |= codes == ord(character)
    return found


def _gpt2_starts(line: _Line) -> Any:
    """Where the words of GPT-2's expression start, (C,) bool.

    's|'t|'re|'ve|'m|'ll|'d| ?L+| ?N+| ?O+|S+(?!not S)|S+
    """
    before, after = line.before(line.classes), line.after(line.classes)
    is_space = line.classes == SPACE
    # A run of spaces in front of something else leaves its last one out, and that one opens the
    # next word if it is " ".
    ends_run = is_space & (after != SPACE) & (after != _EDGE)
    opens = ends_run & (line.codes == ord(" "))
    starts = tf.where(
        is_space,
        (before != SPACE) | ends_run,
        (before != line.classes) & ~line.before(opens, False),
    )
    return _with_contractions(line, starts, ignore_case=False)


def _llama3_starts(line: _Line) -> Any:
    r"""Where the words of Llama 3's expression start, (C,) bool."""
    return _tiktoken_starts(line, digits=3)


def _qwen2_starts(line: _Line) -> Any:
    r"""Where the words of Qwen 2's expression start, (C,) bool."""
    return _tiktoken_starts(line, digits=1)


def _tiktoken_starts(line: _Line, digits: int) -> Any:
    r"""Where the words of the expression of `cl100k_base` and its kin start, (C,) bool.

    (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\nLN]?L+|N{1,digits}| ?O+[\r\n]*|S*[\r\n]+|S+(?!not S)|S+
    """
    before, after = line.before(line.classes), line.after(line.classes)
    is_newline = _is_one_of(line.codes, "\r\n")
    is_space, is_other = line.classes == SPACE, line.classes == OTHER
    # Line ends behind O belong to its word.
    newline_run = _Runs(is_newline & ~line.before(is_newline, False))
    taken = is_newline & newline_run.at_start(before == OTHER)
    is_space &= ~taken
    # Of a run of spaces, all up to its last line end is one word, and the rest another, which
    # leaves out the last space if something else follows.
    opens_run = is_space & ~line.before(is_space, False)
    space_run = _Runs(opens_run)
    index = tf.range(tf.size(line.codes))
    last_newline = space_run.maximum(tf.where(is_newline & is_space, index, -1))
    behind_newline = ~opens_run & (index - 1 == last_newline)
    ends_run = is_space & (after != SPACE) & (after != _EDGE) & ~is_newline
    # What one character opens: letters any of S (no line end) or a single O, O only " ".
    space_starts = is_space & (opens_run | behind_newline | ends_run)
    opened_by_space = line.before(ends_run & (line.codes == ord(" ")), False)
    other_starts = is_other & (before != OTHER) & ~opened_by_space
    opens_letters = ends_run | (other_starts & (after == LETTER))
    letter_starts = (
        (line.classes == LETTER) & (before != LETTER) & ~line.before(opens_letters, False)
    )
    is_number = line.classes == NUMBER
    number_starts = is_number
    if digits > 1:
        number_run = _Runs(is_number & (before != NUMBER))
        number_starts &= number_run.distance() % digits == 0
    starts = space_starts | other_starts | letter_starts | number_starts
    return _with_contractions(line, starts, ignore_case=True)


def _with_contractions(line: _Line, starts: Any, ignore_case: bool) -> Any:
    """`starts` with the words 's 't 're 've 'm 'll 'd wherever one of them can start."""

    def letter(codes: Any, lower: str) -> Any:
        other_cases = lower.upper() + _LONG_S * ("s" in lower) if ignore_case else ""
        return _is_one_of(codes, lower + other_cases)

    second = line.after(line.codes)
    third = line.after(second)
    apostrophe = starts & (line.codes == ord("'"))
    two = apostrophe & letter(second, "stmd")
    three = letter(second, "rv") & letter(third, "e") | letter(second, "l") & letter(third, "l")
    three &= apostrophe
    # The letter behind an apostrophe starts nothing; what stands behind the contraction does.
    starts &= ~_left(two | three, False)
    behind = _left(two, False) | _left(_left(three, False), False)
    return starts | _left(behind, False)


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


def _cut(found: Characters, rows: Any, starts: Any) -> Any:
    """Words from where they start, ragged (B, None)."""
    at = tf.where(starts)[:, 0]  # (W,)
    begin = tf.cast(tf.gather(found.offsets, at), tf.int32)  # (W,)
    row = tf.gather(rows, at)  # (W,)
    size = tf.gather(tf.strings.length(found.texts), row)  # (W,)
    end = tf.where(row == _right(row, -1), _right(begin, 0), size)  # (W,)
    before = tf.concat([[0], tf.cumsum(tf.cast(starts, tf.int64))], 0)  # (C + 1,)
    row_splits = tf.gather(before, found.row_splits)  # (B + 1,)
    ragged: Any = tf.RaggedTensor  # whose stubs lack its class methods
    return tensorflow_text.ByteSplitter().split_by_offsets(
        found.texts,
        ragged.from_row_splits(begin, row_splits, validate=False),
        ragged.from_row_splits(end, row_splits, validate=False),
    )


class _Rule(NamedTuple):
    starts: Callable[[_Line], Any]
    expression: str  # as a `tokenizer.json` has it
    digits_alone: bool


_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
RULES = {
    "gpt2": _Rule(_gpt2_starts, _GPT2, False),
    "gpt2_digits": _Rule(_gpt2_starts, _GPT2, True),
    "llama3": _Rule(_llama3_starts, _LLAMA3, False),
    "qwen2": _Rule(_qwen2_starts, _LLAMA3.replace("{1,3}", ""), False),
}
