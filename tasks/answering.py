"""Answers to many texts, with progress."""

import os
import pathlib
import time
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.progress import Progress

from tflm.eval import Answer, Label, Output
from tflm.tasks.predictor import Answers
from tflm.tasks.served import is_address

_TEXTS_PER_STEP = 256  # a multiple of what a predictor answers at once
_SECONDS_BETWEEN_LINES = 30.0
_OUTPUTS = ("text", "label", "answer")  # what a signature calls its answer


def answer_all(
    predict: Answers,
    texts: Sequence[Any],
    console: Console | None = None,
    *,
    labels: Sequence[str] = (),
) -> list[Any]:
    """The answer to each text, with progress; it knows whether it was cut, or the probabilities.

    A model that gives a text any number of labels answers with a list of them.

    Texts of like length are answered together, as `Translation.answer` does, so that both make the
    same batches, and the same strings.

    Args:
        predict: from texts to answers with their outputs by name.
        texts: any number; pairs of texts where `predict` takes those.
        console: where progress goes; nowhere by default.
        labels: labels of a classification in the order of the probabilities; without them an answer
            is the likeliest label alone.
    """
    order = sorted(range(len(texts)), key=lambda i: len(source_text(texts[i])))
    answers: list[Any] = [""] * len(texts)
    with _Steps(len(texts), console) as steps:
        for start in range(0, len(order), _TEXTS_PER_STEP):
            chunk = order[start : start + _TEXTS_PER_STEP]
            found = predict([texts[i] for i in chunk])
            for i, answer in zip(chunk, found, strict=True):
                answers[i] = _output(answer, labels)
            steps.add(len(chunk))
    return answers


def source_text(source: Any) -> str:
    """What is answered, as one text: a pair with a line break between."""
    return source if isinstance(source, str) else "\n".join(source)


def model_name(location: str) -> str:
    """What a report calls a model: its address, or its folder, of a version with the parent.

    "saved_models/translator/3" is "translator/3".
    """
    if is_address(location):
        return location
    parts = pathlib.Path(os.path.abspath(location)).parts
    return "/".join(parts[-2:]) if parts[-1].isdecimal() else parts[-1]


def answer_text(answer: dict[str, Any]) -> str:
    """An answer's outputs as one text: that which was asked for; several labels with commas
    between.

    Raises:
        ValueError: none of the outputs is an answer.
    """
    if "labels" in answer:
        return ", ".join(_given_labels(answer))
    return str(answer[_answer_name(answer)])


def _answer_name(answer: dict[str, Any]) -> str:
    name = next((name for name in _OUTPUTS if name in answer), None)
    if name is None:
        raise ValueError(
            f"the model must answer with one of {', '.join(_OUTPUTS)}. "
            f"Received: {', '.join(sorted(answer)) or 'nothing'}"
        )
    return name


def _given_labels(answer: dict[str, Any]) -> list[str]:
    return [label for label in answer["labels"] if label]


def _output(answer: dict[str, Any], labels: Sequence[str]) -> Any:
    if "labels" in answer:
        return _given_labels(answer)
    name = _answer_name(answer)
    if name == "label" and len(labels) == len(answer.get("probabilities", ())) > 0:
        return Label(answer[name], dict(zip(labels, answer["probabilities"], strict=True)))
    if "no_answer_probability" in answer:
        return Answer(answer[name], answer["no_answer_probability"])
    if "truncated" not in answer:
        return str(answer[name])
    return Output(str(answer[name]), truncated=bool(answer["truncated"]))


class _Steps:
    """A bar on a terminal, a line now and then anywhere else."""

    def __init__(self, total: int, console: Console | None):
        self._total = total
        self._console = console
        self._done = 0
        self._said = time.monotonic()
        self._bar: Progress | None = None

    def __enter__(self) -> "_Steps":
        if self._console is not None and self._console.is_terminal:
            self._bar = Progress(console=self._console, transient=True)
            self._bar.add_task("answering", total=self._total)
            self._bar.start()
        return self

    def __exit__(self, *_: Any) -> None:
        if self._bar is not None:
            self._bar.stop()

    def add(self, count: int) -> None:
        """`count` more texts have been answered."""
        self._done += count
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=self._done)
        elif self._console is not None and self._done < self._total:
            if time.monotonic() - self._said > _SECONDS_BETWEEN_LINES:
                self._said = time.monotonic()
                self._console.print(f"{self._done} of {self._total} texts answered", soft_wrap=True)
