"""Raw examples of question answering in all their forms, as pairs of a question and its context."""

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import keras
import tensorflow as tf

from tflm.data import QuestionExample, QuestionWindows, SquadFiles
from tflm.tokenizers.passages import PassageReader

Pair = tuple[str, str]  # of a question and its context


class QuestionRows:
    """Examples, which iterated over are pairs of a question and its context.

    Args:
        examples: `QuestionExample`s, re-iterable.
    """

    def __init__(self, examples: Iterable[QuestionExample]):
        self.examples = examples
        self._windows: QuestionWindows | None = None

    def __iter__(self) -> Iterator[Pair]:
        for example in self.examples:
            yield example.question, example.context

    def to_score(self) -> list[QuestionExample]:
        """The examples with every answer that they were given, wherever it stands, or nowhere."""
        given = self.examples
        return list(given.as_given() if isinstance(given, SquadFiles) else given)

    def windows(self, reader: PassageReader) -> QuestionWindows:
        """What a reader makes of them; the last reader's windows are remembered."""
        if self._windows is None or self._windows.reader is not reader:
            self._windows = QuestionWindows(self.examples, reader)
        return self._windows


def is_question(given: Any) -> bool:
    """Whether `given` are raw examples in one of their forms."""
    if isinstance(given, QuestionRows | str | os.PathLike):
        return True
    others = (Mapping, Iterator, tf.data.Dataset, keras.utils.PyDataset)
    if isinstance(given, others) or not isinstance(given, Iterable):
        return False
    first = next(iter(given), None)
    return isinstance(first, QuestionExample) or (
        isinstance(first, Mapping) and "question" in first and "context" in first
    )


def question_rows(given: Any) -> QuestionRows:
    """Raw examples in any form as `QuestionRows`.

    Raises:
        ValueError: `given` are no such examples.
    """
    if isinstance(given, QuestionRows):
        return given
    if not is_question(given):
        raise ValueError(
            "`examples` must be QuestionExamples, dicts with question, context and answers, or the "
            f"path of a file in SQuAD's format. Received: {given!r:.200}"
        )
    if isinstance(given, str | os.PathLike):
        return QuestionRows(SquadFiles(given))
    if isinstance(next(iter(given)), Mapping):
        return QuestionRows([QuestionExample.of(row) for row in given])
    return QuestionRows(given)
