"""From a model, wherever it is, and data to a report; and the evaluation before an export."""

import os
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.progress import Progress

from tflm.data import BadLineReport
from tflm.eval import Metric, Report, evaluate
from tflm.eval.baselines import baselines_for
from tflm.eval.catalog import labels_of, metrics_named, task_metric_names
from tflm.eval.file_evaluation import check_language
from tflm.eval.metrics.lengths import Output
from tflm.eval.requirements import Requirement, check_requirements
from tflm.tasks.model_card import CARD_FILE, model_card, to_json
from tflm.tasks.predictor import Predict, open_predictor
from tflm.tasks.sources import open_split

_TEXTS_PER_STEP = 256  # a multiple of what a predictor answers at once
_SECONDS_BETWEEN_LINES = 30.0
_OUTPUTS = ("text", "label", "answer")  # what a signature calls its answer

Pairs = tuple[Sequence[str], Sequence[Any]]


def read_pairs(
    data: pathlib.Path,
    split: str,
    languages: tuple[str, str],
    *,
    swap: bool = False,
    on_bad: str = "raise",
    report: BadLineReport | None = None,
) -> tuple[list[str], list[str]]:
    """Sources and references from a file, or from one split of a directory.

    Raises:
        FileNotFoundError: there is no such file or split.
        ValueError: it holds no pair, or a malformed line.
    """
    rows = list(open_split(data, split, languages, on_bad, report or BadLineReport()))
    if not rows:
        raise ValueError(f"`data` must hold at least one pair. Received: {data}")
    sources, references = (list(side) for side in zip(*rows, strict=True))
    return (references, sources) if swap else (sources, references)


def evaluate_model(
    location: str,
    sources: Sequence[str],
    references: Sequence[str],
    languages: tuple[str, str],
    *,
    task: str = "translation",
    metrics: Sequence[str] = (),
    baseline: bool = False,
    data: str = "",
    console: Console | None = None,
) -> tuple[Report, list[Metric]]:
    """Scores a run, a saved task, a SavedModel or a served model; returns its report and metrics.

    Args:
        location: a path, or an address as `tflm.tasks.served` takes them.
        sources: what the model is given.
        references: what is expected of it.
        languages: codes of the two languages; the second chooses how metrics split text.
        task: chooses the metrics where none is named, and the baselines.
        metrics: names of metrics, see `tflm.eval.catalog`.
        baseline: also score the trivial systems of the task.
        data: name of the data, for the report.
        console: where progress goes; nowhere by default.

    Raises:
        FileNotFoundError: there is no model at a path.
        ConnectionError: no server answers at an address.
        ValueError: a name is unknown.
    """
    names = metrics or default_metrics(task)
    found = metrics_named(names, languages[1], labels_of(references))
    trivial = baselines_for(task) if baseline else ()
    predict = open_predictor(location)
    report = evaluate(
        lambda texts: answer_all(predict, texts, console),
        sources,
        references,
        found,
        task=f"{task} {'-'.join(languages)}",
        data=data,
        settings={"model": location.rstrip("/").rpartition("/")[2]},
        target_language=languages[1],
        baselines=trivial,
    )
    return report, found


def default_metrics(task: str) -> tuple[str, ...]:
    """Names of a task's metrics; translation's include lower-cased BLEU, as older results do.

    Raises:
        ValueError: the task is unknown.
    """
    return (*task_metric_names(task), *(("bleu_lc",) if task == "translation" else ()))


def answer_all(predict: Predict, texts: list[str], console: Console | None = None) -> list[str]:
    """The answer to each text, with progress; an answer knows whether it was cut.

    Texts of like length are answered together, as `Translation.answer` does, so that both make the
    same batches, and the same strings.

    Args:
        predict: from texts to answers with their outputs by name.
        texts: any number.
        console: where progress goes; nowhere by default.
    """
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    answers: list[str] = [""] * len(texts)
    with _Steps(len(texts), console) as steps:
        for start in range(0, len(order), _TEXTS_PER_STEP):
            chunk = order[start : start + _TEXTS_PER_STEP]
            found = predict([texts[i] for i in chunk])
            for i, answer in zip(chunk, found, strict=True):
                answers[i] = _output(answer)
            steps.add(len(chunk))
    return answers


def _output(answer: dict[str, Any]) -> str:
    name = next((name for name in _OUTPUTS if name in answer), None)
    if name is None:
        raise ValueError(
            f"the model must answer with one of {', '.join(_OUTPUTS)}. "
            f"Received: {', '.join(sorted(answer)) or 'nothing'}"
        )
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


def score_for_export(
    predict: Predict,
    evaluate_on: Pairs | str | os.PathLike[str],
    target_language: str,
    require: Sequence[str] = (),
    *,
    task: str = "translation",
    data: str = "",
    console: Console | None = None,
) -> Report:
    """Scores what is about to be exported, and refuses what falls short.

    Args:
        predict: from texts to answers with their outputs by name.
        evaluate_on: sources and references, or a file of pairs.
        target_language: code of the language of the answers; metrics split text by it.
        require: such as "bleu>=30"; each metric named is computed beside the task's own.
        task: chooses the metrics.
        data: name of the data; the file's by default.
        console: where progress goes; nowhere by default.

    Raises:
        ValueError: a requirement is malformed or names no metric, the language is not named, or the
            data holds nothing.
        RequirementsNotMet: a score is out of bounds.
    """
    check_language(target_language)
    requirements = [Requirement.parse(text) for text in require]
    if isinstance(evaluate_on, (str, os.PathLike)):
        path = pathlib.Path(evaluate_on)
        data = data or path.name
        sources, references = read_pairs(path, "", ("", ""))
    else:
        sources, references = (list(side) for side in evaluate_on)
    names = (*default_metrics(task), *(requirement.metric for requirement in requirements))
    report = evaluate(
        lambda texts: answer_all(predict, texts, console),
        sources,
        references,
        metrics_named(names, target_language, labels_of(references)),
        task=task,
        data=data,
        target_language=target_language,
    )
    check_requirements(requirements, report)
    return report


def card_for_export(
    task: Any,
    evaluate_on: Any = None,
    target_language: str = "",
    require: Sequence[str] = (),
    *,
    data: str = "",
    training: Mapping[str, Any] | None = None,
    console: Console | None = None,
) -> dict[str, str]:
    """The files that go beside an exported task, by name: its card, scored first where asked.

    Args:
        task: the task.
        evaluate_on: sources and references, or a file of pairs; `None` scores nothing.
        target_language: code of the language the task writes.
        require: such as "bleu>=30".
        data: name of the data; the file's by default.
        training: settings of the run that trained it, its seed among them.
        console: where progress goes; nowhere by default.

    Raises:
        ValueError: there are requirements and nothing to evaluate on.
        RequirementsNotMet: a score is out of bounds.
    """
    if require and evaluate_on is None:
        raise ValueError(
            "`evaluate_on` must be given with `require`. "
            f"Received: require={', '.join(require)} and no data"
        )
    report = None
    if evaluate_on is not None:
        report = score_for_export(
            task.answers, evaluate_on, target_language, require, data=data, console=console
        )
    card = model_card(
        type(task).__name__,
        task.description(),
        task.input_limits(),
        report=report,
        require=require,
        training=training,
    )
    return {CARD_FILE: to_json(card)}
