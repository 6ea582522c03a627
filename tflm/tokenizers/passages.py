"""A question and its context as windows of tokens that an encoder reads, in a graph.

    token_ids      [CLS] who wrote it ? [SEP] it was writ ten by Ann . [SEP]     (R, T)
    segment_ids      0    0    0   0  0   0   1  1    1    1  1   1  1   1       (R, T)
    answer_mask      1    0    0   0  0   0   1  1    1    0  1   1  1   0       (R, T)

A context that is longer than a window is read in several that overlap. An answer is whole words,
as `tflm.tokenizers.word_offsets` finds them: it begins and ends at the first pieces of its first
and last word, which is what `answer_mask` marks. The first place, where no word stands, says "not
here".
`B` questions, `R` windows, `T` length, `F` features of a word.
"""

from typing import Any, NamedTuple

import tensorflow as tf

from tflm.tokenizers.byte_pair import BytePairTokenizer
from tflm.tokenizers.framing import Frame
from tflm.tokenizers.rows import row_of_each
from tflm.tokenizers.word_features import FEATURES, word_features
from tflm.tokenizers.word_offsets import WordFinder, Words


class Passages(NamedTuple):
    """Windows of questions with their contexts.

    Attributes:
        contexts: The contexts, valid UTF-8, (B,): what offsets are offsets of.
        truncated: Which questions were too long to be read to their end, (B,).
        rows: Which question each window belongs to, in order, int32 (R,).
        inputs: int32 `token_ids`, `segment_ids`, boolean `padding_mask`, `answer_mask`, (R, T)
            each, and boolean `word_features`, (R, T, F).
        starts: Where the word of each piece of the context begins, in code points, int32 (R, T).
        ends: Where it ends, int32 (R, T).
    """

    contexts: Any
    truncated: Any
    rows: Any
    inputs: dict[str, Any]
    starts: Any
    ends: Any


class _Pieces(NamedTuple):
    """The pieces of the words of B texts: `(P + 1,)` values, of which the last is for padding."""

    ids: Any
    word: Any  # which word of the batch it belongs to; W for padding
    is_first: Any  # of its word
    starts: Any  # (B,)
    sizes: Any  # (B,)


class PassageReader(tf.Module):
    """Turns strings into the windows that a model reads.

    Args:
        tokenizer: Cuts words into pieces, each word by itself. A word of byte-level BPE has its
            space in front; SentencePiece takes every word for the beginning of a text.
        sequence_length: Tokens of a window, special ones included, at most.
        overlap: Tokens of the context that two neighbours share, at least: an answer of no more
            pieces than this stands whole in one of them.
        max_question_length: Pieces read of a question.

    Raises:
        ValueError: The tokenizer has no token to separate two texts, or windows would not move on.
    """

    def __init__(
        self,
        tokenizer: Any,
        sequence_length: int = 384,
        overlap: int = 128,
        max_question_length: int = 62,
    ):
        super().__init__(name="passage_reader")
        self.tokenizer = tokenizer
        self._frame = Frame(tokenizer)
        self._num_special = self._frame.num_special(pair=True)
        least = self._num_special + max_question_length + overlap + 1
        if sequence_length < least or min(overlap, max_question_length) < 1:
            raise ValueError(
                f"`sequence_length` must be at least {least}: {self._num_special} special tokens, "
                "`max_question_length`, `overlap`, which are positive, and 1. "
                f"Received: sequence_length={sequence_length}, overlap={overlap}, "
                f"max_question_length={max_question_length}"
            )
        self.sequence_length = sequence_length
        self.overlap = overlap
        self.max_question_length = max_question_length
        self._finder = WordFinder()
        self._keeps_spaces = isinstance(tokenizer, BytePairTokenizer)
        pad_id = getattr(tokenizer, "pad_id", None)
        self.pad_id = 0 if pad_id is None or pad_id < 0 else int(pad_id)

    @property
    def special_ids(self) -> tuple[int, ...]:
        """Ids of the tokens around question and context, each once."""
        return self._frame.special_ids

    def tokenize(self, texts: Any) -> Any:
        """Strings (B,) -> the pieces of their words, ragged int32 (B, None)."""
        pieces = self._pieces(self._finder.find(texts))
        ragged: Any = tf.RaggedTensor  # its constructors are unknown to type checkers
        return ragged.from_row_lengths(
            pieces.ids[:-1], tf.cast(pieces.sizes, tf.int64), validate=False
        )

    def read(self, questions: Any, contexts: Any) -> Passages:
        """Strings (B,) and (B,) -> windows; at least one for each question."""
        sides = [self._finder.find(texts) for texts in (questions, contexts)]
        question, context = (self._pieces(side) for side in sides)
        features = word_features(sides[0], sides[1], self.max_question_length)
        kept = tf.minimum(question.sizes, self.max_question_length)  # (B,)
        room = self.sequence_length - self._num_special - kept  # (B,)
        rows, begin, size = _windows(context.sizes, room, self.overlap)  # (R,) each
        frame, kept = self._frame, tf.gather(kept, rows)
        # Where in a window the question, the context and the end begin, (R, 1) each.
        own = tf.constant(len(frame.start))
        second = (own + kept + len(frame.middle))[:, None]
        end = second + size[:, None]
        total = end + len(frame.end)
        places = tf.range(tf.maximum(tf.reduce_max(total), 1))[None]  # (1, T)
        padding_mask = places < total  # (R, T)
        at_question = tf.where(
            (places >= own) & (places < own + kept[:, None]),
            tf.gather(question.starts, rows)[:, None] + places - own,
            tf.size(question.ids) - 1,
        )  # (R, T)
        in_context = (places >= second) & (places < end)
        at_context = tf.where(
            in_context,
            (tf.gather(context.starts, rows) + begin)[:, None] + places - second,
            tf.size(context.ids) - 1,
        )  # (R, T)
        special = tf.where(places < own, (frame.start + frame.middle)[0], frame.middle[0])
        special = tf.where(padding_mask, special, self.pad_id)  # (R, T)
        text = tf.gather(question.ids, at_question) + tf.gather(context.ids, at_context)
        is_text = in_context | (at_question != tf.size(question.ids) - 1)
        words = [tf.gather(question.word, at_question), tf.gather(context.word, at_context)]
        no_word = tf.zeros([1, len(FEATURES)], tf.bool)
        inputs = {
            "token_ids": tf.where(is_text, text, special),
            "padding_mask": padding_mask,
            "segment_ids": tf.cast(padding_mask & (places >= second), tf.int32),
            "word_features": tf.gather(tf.concat([features[0], no_word], axis=0), words[0])
            | tf.gather(tf.concat([features[1], no_word], axis=0), words[1]),
            "answer_mask": tf.gather(context.is_first, at_context) | (places == 0),
        }
        starts, ends = (
            tf.gather(tf.concat([offsets, [0]], axis=0), words[1])
            for offsets in (sides[1].starts, sides[1].ends)
        )
        truncated = question.sizes > self.max_question_length
        return Passages(sides[1].texts, truncated, rows, inputs, starts, ends)

    def _pieces(self, side: Words) -> _Pieces:
        words = side.words
        if self._keeps_spaces:
            words = tf.strings.join([tf.where(side.spaced, " ", ""), words])
        different, which = tf.unique(words)  # (U,), (W,)
        pieces = tf.gather(self.tokenizer.tokenize(different), which)  # ragged (W, None)
        word = row_of_each(pieces.row_splits)  # (P,)
        is_first = tf.concat([[-1], word], axis=0)[: tf.size(word)] != word
        splits = tf.cast(tf.gather(pieces.row_splits, side.row_splits), tf.int32)  # (B + 1,)
        return _Pieces(
            tf.concat([tf.cast(pieces.flat_values, tf.int32), [0]], axis=0),
            tf.concat([word, [tf.size(words)]], axis=0),
            tf.concat([is_first, [False]], axis=0),
            splits[:-1],
            splits[1:] - splits[:-1],
        )


def find_answers(passages: Passages, starts: Any, ends: Any) -> Any:
    """Where in each window the answer to its question begins and ends.

    Args:
        passages: The windows.
        starts: Where each answer begins in its context, in code points, int32 (B,).
        ends: Where it ends, int32 (B,); before its start for a question without an answer.

    Returns:
        The places of its first and last word, int32 (R, 2); 0 and 0 in windows that do not have
        both. An answer that begins or ends inside a word stands for the whole word.
    """
    mask = passages.inputs["answer_mask"] & (passages.ends > 0)  # (R, T)
    first, last = (tf.gather(each, passages.rows)[:, None] for each in (starts, ends - 1))
    has_first = mask & (passages.starts <= first) & (first < passages.ends)  # (R, T)
    has_last = mask & (passages.starts <= last) & (last < passages.ends)
    whole = tf.reduce_any(has_first, axis=1) & tf.reduce_any(has_last, axis=1)  # (R,)
    whole &= (last >= first)[:, 0]
    found = [tf.argmax(tf.cast(each, tf.int32), axis=1) for each in (has_first, has_last)]
    return tf.where(whole[:, None], tf.cast(tf.stack(found, axis=1), tf.int32), 0)


def _windows(sizes: Any, room: Any, overlap: int) -> tuple[Any, Any, Any]:
    """Windows over contexts: the last one reaches back as far as it can.

    Args:
        sizes: Pieces of each context, int32 (B,).
        room: Pieces of it that a window has room for, int32 (B,).
        overlap: Pieces that neighbours share at least.

    Returns:
        The context, the first piece and the number of pieces of each window, int32 (R,) each.
    """
    rest = tf.maximum(sizes - room, 0)  # (B,)
    step = room - overlap
    number = 1 + (rest + step - 1) // step  # (B,)
    rows = tf.repeat(tf.range(tf.size(sizes)), number)  # (R,)
    which = tf.range(tf.size(rows)) - tf.gather(tf.cumsum(number, exclusive=True), rows)
    begin = tf.minimum(which * tf.gather(step, rows), tf.gather(rest, rows))
    return rows, begin, tf.minimum(tf.gather(room, rows), tf.gather(sizes, rows) - begin)
