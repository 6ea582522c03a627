"""Questions with their contexts as windows of tokens, and where in each the answer stands.

They are read once and kept in memory, six bytes a token.
"""

import dataclasses
import functools
import itertools
import logging
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tflm.data.squad import OffsetReport, QuestionExample, repair_offsets
from tflm.tokenizers.passages import PassageReader, find_answers
from tflm.tokenizers.word_features import FEATURES

IS_ANSWER = 1 << len(FEATURES)

_log = logging.getLogger(__name__)

_CHUNK = 256  # questions read at once


@dataclasses.dataclass(frozen=True)
class QuestionReport:
    """What became of questions.

    Args:
        num_questions: Questions read.
        num_unanswered: Left out: nobody has answered them, or no answer stands where it is said to.
        num_unfound: Left out: no window holds the answer, which is too long, or nothing but signs
            that the tokenizer drops.
        num_windows: Windows made of the others.
        num_empty: Those of them that do not hold the answer.
    """

    num_questions: int
    num_unanswered: int
    num_unfound: int
    num_windows: int
    num_empty: int


@dataclasses.dataclass(frozen=True)
class WindowArrays:
    """R windows without padding, one after the other.

    Attributes:
        splits: Where each begins, (R + 1,).
        token_ids: int32, (all tokens,).
        flags: Features of the tokens' words, a bit each, and the bit `IS_ANSWER` where an answer
            may begin or end; uint16, (all tokens,).
        second: First place of the context, (R,).
        places: First and last word of the answer, (R, 2); 0 and 0 where it is not there.
    """

    splits: np.ndarray
    token_ids: np.ndarray
    flags: np.ndarray
    second: np.ndarray
    places: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each window, (R,)."""
        return np.diff(self.splits)


class QuestionWindows:
    """The windows of questions. Of several answers, the one that most people gave is learned.

    Args:
        examples: `QuestionExample`s.
        reader: Makes windows of them.

    Attributes:
        offsets: What became of the answers' offsets, once the examples have been read.
        report: What became of the questions then; `None` before.

    Raises:
        TypeError: `examples` is an iterator.
    """

    def __init__(self, examples: Iterable[QuestionExample], reader: PassageReader):
        if isinstance(examples, Iterator):
            raise TypeError(
                "`examples` must be re-iterable (a list, or a reader of `tflm.data`). "
                f"Received: {type(examples).__name__}"
            )
        self.examples = examples
        self.reader = reader
        self.offsets = OffsetReport()
        self.report: QuestionReport | None = None

    @functools.cached_property
    def arrays(self) -> WindowArrays:
        """The windows, read when first asked for.

        Raises:
            ValueError: There is no question with an answer, or known to have none.
        """
        num_questions = num_unanswered = num_unfound = 0
        parts = []
        examples = iter(self.examples)
        while chunk := list(itertools.islice(examples, _CHUNK)):
            num_questions += len(chunk)
            repaired = [repair_offsets(each, self.offsets) for each in chunk]
            known = [each for each in repaired if each and (each.answer or each.is_impossible)]
            num_unanswered += len(chunk) - len(known)
            spans = np.array([_span(each) for each in known], np.int32).reshape(-1, 2)
            arrays = [
                value.numpy()
                for value in self._read(
                    tf.constant([each.question for each in known], tf.string),
                    tf.constant([each.context for each in known], tf.string),
                    spans[:, 0],
                    spans[:, 1],
                )
            ]
            part, unfound = _kept(arrays, spans[:, 1] > 0)
            parts.append(part)
            num_unfound += unfound
        windows = _joined(parts)
        self.report = QuestionReport(
            num_questions,
            num_unanswered,
            num_unfound,
            len(windows.places),
            int((windows.places[:, 0] == 0).sum()),
        )
        if not len(windows.places):
            raise ValueError(
                f"`examples` must hold a question with its answer. Received: {self.report}"
            )
        if num_unanswered or num_unfound:
            _log.warning("Not every question can be learned: %s", self.report)
        return windows

    def _read(self, questions: Any, contexts: Any, starts: Any, ends: Any) -> tuple[Any, ...]:
        passages = self.reader.read(questions, contexts)
        inputs = passages.inputs
        bits = [1 << i for i in range(len(FEATURES))]
        flags = tf.reduce_sum(tf.cast(inputs["word_features"], tf.int32) * bits, axis=-1)
        flags += tf.cast(inputs["answer_mask"], tf.int32) * IS_ANSWER  # (R, T)
        lengths = tf.reduce_sum(tf.cast(inputs["padding_mask"], tf.int32), axis=1)
        second = lengths - tf.reduce_sum(inputs["segment_ids"], axis=1)
        places = find_answers(passages, starts, ends)
        return passages.rows, inputs["token_ids"], flags, lengths, second, places


def _span(example: QuestionExample) -> tuple[int, int]:
    """The answer's ends without white space around it; (0, 0) where there is none."""
    answer = None if example.is_impossible else example.answer
    if answer is None:
        return 0, 0
    text = answer.text
    start = answer.start + len(text) - len(text.lstrip())
    return start, start + len(text.strip())


def _kept(arrays: list[np.ndarray], answered: np.ndarray) -> tuple[WindowArrays, int]:
    """Windows without padding, of questions that can be learned; and how many cannot.

    Args:
        arrays: the question of each window (R,), token ids and flags (R, T), lengths and where the
            context begins (R,), places (R, 2).
        answered: (B,) whether the question has an answer.
    """
    rows, token_ids, flags, lengths, second, places = arrays
    found = np.zeros(len(answered), bool)
    found[rows[places[:, 0] > 0]] = True
    kept = (found | ~answered)[rows]  # (R,)
    lengths = lengths[kept]
    mask = np.arange(token_ids.shape[1]) < lengths[:, None]  # (R, T)
    windows = WindowArrays(
        np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]),
        token_ids[kept][mask],
        flags[kept][mask].astype(np.uint16),
        second[kept],
        places[kept],
    )
    return windows, int((answered & ~found).sum())


def _joined(parts: list[WindowArrays]) -> WindowArrays:
    if not parts:
        empty = np.zeros(0, np.int32)
        return WindowArrays(np.zeros(1, np.int64), empty, empty, empty, np.zeros((0, 2), np.int32))
    lengths = np.concatenate([part.lengths for part in parts])
    splits = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    names = ("token_ids", "flags", "second", "places")
    return WindowArrays(
        splits, *(np.concatenate([getattr(part, name) for part in parts]) for name in names)
    )
