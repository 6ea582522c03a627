"""SQuAD's JSON to questions, contexts and answers: SQuAD 1.1 and 2.0, CMRC 2018, SQuADShifts.

    for example in SquadFiles("train-v2.0.json.gz"):
        example.question, example.context, example.answers[0].text, example.answers[0].start

An answer is a slice of its context from `start` on, counted in Unicode code points. Where a file
says otherwise the answer is moved, if its text stands at exactly one place within two characters,
or else dropped; `report` says how many were.
"""

import collections
import dataclasses
import gzip
import json
import os
import reprlib
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from tflm.data.readers import BadLine, BadLineReport, check_on_bad

MOST_SHIFT = 2  # characters

_NUM_SHOWN = 5


class BadQuestion(BadLine):
    """A question that does not fit; its `line_number` is its place among its file's questions."""

    UNIT = "question"


@dataclasses.dataclass(frozen=True)
class SpanAnswer:
    """A piece of a context.

    Args:
        text: The piece.
        start: Where it begins, in code points.
    """

    text: str
    start: int

    @property
    def end(self) -> int:
        """Where it ends: the code point after its last."""
        return self.start + len(self.text)

    def stands_in(self, context: str) -> bool:
        """Whether the context has the text at this place."""
        return self.start >= 0 and context.startswith(self.text, self.start)


@dataclasses.dataclass(frozen=True)
class QuestionExample:
    """A question about a text.

    Args:
        question: The question.
        context: The text in which its answer stands.
        answers: What different people answered; none where nobody has, or nobody can.
        id: Its name in its data set.
        is_impossible: Whether the context does not answer the question.
    """

    question: str
    context: str
    answers: tuple[SpanAnswer, ...] = ()
    id: str = ""
    is_impossible: bool = False

    @property
    def texts(self) -> list[str]:
        """The texts of the answers, which metrics compare with."""
        return [answer.text for answer in self.answers]

    @property
    def answer(self) -> SpanAnswer | None:
        """What most people answered, of equals the first; `None` without an answer."""
        counts = collections.Counter(self.answers)
        return max(counts, key=counts.__getitem__, default=None)

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """A question as SQuAD's JSON or Hugging Face `datasets` writes it, with its `context`.

        Args:
            row: `question`, `context` and, where there are some, `answers`: a list of `text` and
                `answer_start`, or one dict with a list of each, where empty lists say that there
                is no answer; `id`; `is_impossible`.

        Raises:
            ValueError: Something is absent or of another type.
        """
        for name in ("question", "context"):
            if not isinstance(row.get(name), str):
                raise ValueError(
                    f"An example must have a string in {name!r}. Received: {dict(row)!r:.200}"
                )
        found = row.get("answers") or []
        try:
            answers = _answers(found)
        except (TypeError, KeyError, ValueError):
            raise ValueError(
                "`answers` must be dicts with a string 'text' and a number 'answer_start'. "
                f"Received: {row['answers']!r:.200}"
            ) from None
        # Hugging Face's `squad_v2` says it in no other way.
        nothing = isinstance(found, Mapping) and not answers
        impossible = bool(row.get("is_impossible", nothing))
        name = str(row.get("id", ""))
        return cls(row["question"], row["context"], answers, name, impossible)


def _answers(found: Any) -> tuple[SpanAnswer, ...]:
    if isinstance(found, Mapping):
        pairs = list(zip(found["text"], found["answer_start"], strict=True))
    else:
        pairs = [(each["text"], each["answer_start"]) for each in found]
    if not all(isinstance(text, str) for text, _ in pairs):
        raise TypeError
    return tuple(SpanAnswer(text, int(start)) for text, start in pairs)


class OffsetReport:
    """What became of answers in the latest pass over the files.

    Attributes:
        num_questions: Questions read.
        num_impossible: Those that have no answer in their context.
        num_answers: Answers read.
        num_moved: Those that stood a character or two beside their offset.
        num_dropped: Those that did not stand there either, or at several places.
        num_lost: Questions left out: all of their answers were dropped.
        examples: The first of the answers moved or dropped, in words.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forgets everything: a new pass begins."""
        self.num_questions = self.num_impossible = self.num_answers = 0
        self.num_moved = self.num_dropped = self.num_lost = 0
        self.examples: list[str] = []

    def note(self, example: QuestionExample, answer: SpanAnswer, outcome: str) -> None:
        """Remembers an answer as an example."""
        if len(self.examples) < _NUM_SHOWN:
            there = example.context[max(answer.start, 0) : answer.end]
            self.examples.append(
                f"{example.id or example.question}: {reprlib.repr(answer.text)} at {answer.start}, "
                f"where {reprlib.repr(there)} stands: {outcome}"
            )

    def summary(self) -> str:
        """The counts, then the remembered answers."""
        line = (
            f"{self.num_questions} questions, {self.num_impossible} without an answer; "
            f"{self.num_answers} answers, {self.num_moved} moved to where their text stands, "
            f"{self.num_dropped} dropped, and with them {self.num_lost} questions."
        )
        return "\n".join([line, *(f"  {each}" for each in self.examples)])


class SquadFiles:
    """The questions of files in SQuAD's format, plain or gzipped, read anew by each iteration.

    Args:
        paths: A file, gzipped if its name ends in `.gz`; or several.
        on_bad: "raise" at a question that is not as SQuAD's are, or "skip" it.
        skipped: Counts what is skipped, by default a report of its own.

    Attributes:
        report: What became of the answers in the latest pass.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: `on_bad` is neither; from iteration: a file is not JSON in SQuAD's format, or as
            a `BadLine` with the question's number, a question is not.
    """

    def __init__(
        self,
        paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
        *,
        on_bad: str = "raise",
        skipped: BadLineReport | None = None,
    ):
        check_on_bad(on_bad)
        if isinstance(paths, str | os.PathLike):
            paths = [paths]
        self.paths = [Path(path) for path in paths]
        for path in self.paths:
            if not path.is_file():
                raise FileNotFoundError(f"`paths` must be files that exist. Received: {path}")
        self.on_bad = on_bad
        self.skipped = BadLineReport() if skipped is None else skipped
        self.report = OffsetReport()

    def __iter__(self) -> Iterator[QuestionExample]:
        self.report.clear()
        for example in self.as_given():
            repaired = repair_offsets(example, self.report)
            if repaired is not None:
                yield repaired

    def as_given(self) -> Iterator[QuestionExample]:
        """All questions with their answers where the files say: for scoring, which reads texts."""
        for path in self.paths:
            self.skipped.begin(str(path))
            for example in _questions(path):
                if not isinstance(example, BadQuestion):
                    yield example
                elif self.on_bad == "raise":
                    raise example
                else:
                    self.skipped.add(example)


def repair_offsets(example: QuestionExample, report: OffsetReport) -> QuestionExample | None:
    """The example with every answer where its text stands; `None` where none of them is left.

    Args:
        example: A question, with answers perhaps beside their place.
        report: Counts what is moved and dropped.
    """
    report.num_questions += 1
    report.num_impossible += example.is_impossible
    report.num_answers += len(example.answers)
    answers = []
    for answer in example.answers:
        if answer.text and answer.stands_in(example.context):
            answers.append(answer)
            continue
        places = [
            moved
            for shift in range(-MOST_SHIFT, MOST_SHIFT + 1)
            if (moved := SpanAnswer(answer.text, answer.start + shift)).stands_in(example.context)
        ]
        if answer.text and len(places) == 1:
            answers += places
            report.num_moved += 1
            report.note(example, answer, f"moved to {places[0].start}")
        else:
            report.num_dropped += 1
            report.note(example, answer, "dropped")
    if example.answers and not answers:
        report.num_lost += 1
        return None
    return dataclasses.replace(example, answers=tuple(answers))


def _questions(path: Path) -> Iterator[QuestionExample | BadQuestion]:
    wrong = f"{path} must be JSON in SQuAD's format: data, paragraphs, context, qas."
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            articles = json.loads(file.read().decode("utf-8-sig"))["data"]
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} must be a whole gzip file.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(wrong) from error
    number = 0
    for article in articles:
        try:
            rows = [
                {**question, "context": paragraph["context"]}
                for paragraph in article["paragraphs"]
                for question in paragraph["qas"]
            ]
        except (KeyError, TypeError) as error:
            raise ValueError(f"{wrong} Received: {article!r:.200}") from error
        for row in rows:
            number += 1
            try:
                yield QuestionExample.of(row)
            except ValueError as error:
                rule, _, received = str(error).partition(" Received: ")
                yield BadQuestion(str(path), number, rule, received)
