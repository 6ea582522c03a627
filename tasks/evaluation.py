"""From a model, wherever it is, and data to a report; and the evaluation before an export."""

import os
import pathlib
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console

from tflm.data import BadLineReport
from tflm.data.hugging_face import has_splits
from tflm.eval import Metric, Report, evaluate
from tflm.eval.baselines import baselines_for
from tflm.eval.catalog import task_metric_names, task_names
from tflm.eval.requirements import Requirement, check_known, check_requirements
from tflm.tasks.answering import answer_all, model_name, source_text
from tflm.tasks.likelihood import TASK as TEXTS
from tflm.tasks.likelihood import evaluate_likelihood, likelihood_metrics, likelihood_report
from tflm.tasks.model_card import CARD_FILE, model_card, to_json
from tflm.tasks.model_settings import model_settings, task_name
from tflm.tasks.predictor import Answers, open_predictor
from tflm.tasks.runs import scored_by
from tflm.tasks.scored_data import ScoredData
from tflm.tasks.sources import dataset_split


def scoring_settings(
    location: str | os.PathLike[str], given: Mapping[str, Any], task: str = ""
) -> dict[str, Any]:
    """What a model says of itself, and what the user says of it or of the data.

    Args:
        location: a path, or an address as `tflm.tasks.served` takes them.
        given: options of the command; empty ones count as not given.
        task: as the catalog of metrics calls it; the model's own by default.

    Raises:
        FileNotFoundError: there is no model at a path.
        ConnectionError: no server answers at an address.
        ValueError: the task is unknown, is not scored by what is given, or must be given more.
    """
    given = {name: value for name, value in given.items() if value}
    settings = {"task": "translation", **model_settings(location), **given}
    settings["task"] = task or settings["task"]
    options = scored_by(settings["task"]).SCORED_WITH
    if wrong := [name for name in given if name not in options]:
        raise ValueError(
            f"`{wrong[0]}` must be left out for the task {settings['task']}. "
            f"Received: {wrong[0]}={given[wrong[0]]!r}"
        )
    for name, is_needed in options.items():
        if is_needed and not settings.get(name):
            raise ValueError(
                f"`{name}` must be given for a model that does not say its own. "
                f"Received: {location}"
            )
    return settings


def open_examples(
    data: pathlib.Path,
    split: str,
    settings: Mapping[str, Any],
    *,
    on_bad: str = "raise",
    report: BadLineReport | None = None,
) -> Any:
    """Raw examples for a model: those of a file, or of one split of a directory.

    Args:
        data: the path, or a data set that `tflm.data.hugging_face.open_splits` opens.
        split: of a directory.
        settings: of the model, see `scoring_settings`.
        on_bad: "raise" at a malformed line, or "skip" it.
        report: counts what is skipped.

    Raises:
        FileNotFoundError: there is no such file or split.
        ValueError: the file's name does not say what it is.
    """
    run = scored_by(settings["task"])
    if has_splits(data):
        found = run.open_dataset(dataset_split(data, split), settings)
    elif data.exists():
        found = run.open_split(data, split, settings, on_bad, report or BadLineReport())
    else:
        raise FileNotFoundError(f"`data` must be a file or directory that exists. Received: {data}")
    if next(iter(found), None) is None:
        raise ValueError(f"`data` must hold at least one example. Received: {data}")
    return found


def evaluate_model(
    location: str,
    examples: Any,
    settings: Mapping[str, Any],
    *,
    metrics: Sequence[str] = (),
    baseline: bool = False,
    data: str = "",
    console: Console | None = None,
) -> tuple[Report, list[Metric]]:
    """Scores a run, a saved task, a SavedModel or a served model; returns its report and metrics.

    Args:
        location: a path, or an address as `tflm.tasks.served` takes them.
        examples: inputs and references, or raw examples as the task's run reads them.
        settings: of the model, see `scoring_settings`.
        metrics: names of metrics, see `tflm.eval.catalog`; those of the task by default.
        baseline: also score the trivial systems of the task.
        data: name of the data, for the report.
        console: where progress goes; nowhere by default.

    Raises:
        FileNotFoundError: there is no model at a path.
        ConnectionError: no server answers at an address.
        ValueError: a name is unknown, or the model takes other texts than the data has.
    """
    scored = scored_by(settings["task"]).scored_data(examples, settings)
    if baseline and scored.reads == "label sets":
        raise ValueError(
            "`baseline` must be left out where a text has several labels. Received: baseline=True"
        )
    trivial = baselines_for(scored.task) if baseline else ()
    if scored.reads == "likelihoods":
        return evaluate_likelihood(location, scored.inputs, metrics=metrics, data=data)
    names = metrics or scored.metric_names()
    scored.metrics_named(names)  # what is wrong shows before the work
    predict = open_predictor(location)
    if predict.fields != scored.fields:
        raise ValueError(
            f"`model` must take {' and '.join(scored.fields)} for the task {scored.task}. "
            f"Received: {location}, which takes {' and '.join(predict.fields)}"
        )
    answers = answer_all(predict, scored.inputs, console, labels=scored.labels)
    found = scored.metrics_named(names, answers)
    report = evaluate(
        answers,
        [source_text(row) for row in scored.inputs],
        scored.references,
        found,
        task=scored.title,
        data=data,
        settings={"model": model_name(location)},
        target_language=scored.language,
        baselines=trivial,
    )
    return report, found


def score_for_export(
    predict: Answers,
    scored: ScoredData,
    require: Sequence[str] = (),
    *,
    data: str = "",
    console: Console | None = None,
) -> Report:
    """Scores what is about to be exported, and refuses what falls short.

    Args:
        predict: from rows to answers with their outputs by name.
        scored: what it is scored on.
        require: such as "bleu>=30"; each metric named is computed beside the task's own.
        data: name of the data.
        console: where progress goes; nowhere by default.

    Raises:
        ValueError: a requirement is malformed or names no metric, or the data holds
            nothing.
        RequirementsNotMet: a score is out of bounds.
    """
    requirements = [Requirement.parse(text) for text in require]
    names = (*scored.metric_names(), *(requirement.metric for requirement in requirements))
    metrics = scored.metrics_named(names)
    check_known(requirements, [metric.name for metric in metrics])  # before the work
    answers = answer_all(predict, scored.inputs, console, labels=scored.labels)
    report = evaluate(
        answers,
        [source_text(row) for row in scored.inputs],
        scored.references,
        scored.metrics_named(names, answers),
        task=scored.title,
        data=data,
        target_language=scored.language,
    )
    check_requirements(requirements, report)
    return report


def score_texts_for_export(
    task: Any, evaluate_on: Any, require: Sequence[str] = (), *, data: str = ""
) -> Report:
    """Scores a language model that is about to be exported, and refuses what falls short.

    Args:
        task: the language model.
        evaluate_on: texts, or a file or folder of them, read as the task reads it in `fit`.
        require: such as "perplexity<=30"; each metric named is computed beside the task's own.
        data: name of the data; the file's by default.

    Raises:
        TypeError: `evaluate_on` is neither.
        ValueError: a requirement is malformed or names no metric of likelihoods, or the data holds
            nothing.
        RequirementsNotMet: a score is out of bounds.
    """
    requirements = [Requirement.parse(text) for text in require]
    names = (*task_metric_names(TEXTS), *(requirement.metric for requirement in requirements))
    metrics = likelihood_metrics(names)
    check_known(requirements, [metric.name for metric in metrics])  # before the work
    if isinstance(evaluate_on, (str, os.PathLike)):
        data = data or pathlib.Path(evaluate_on).name
    rows = list(task.examples(evaluate_on))
    if any(len(row) != 1 or not isinstance(row[0], str) for row in rows):
        raise TypeError(
            "`evaluate_on` must be texts, or a file of them, for a language model. "
            f"Received: {reprlib.repr(evaluate_on)}"
        )
    texts = [text for (text,) in rows]
    report = likelihood_report(task.likelihoods(texts), texts, metrics, data=data)
    check_requirements(requirements, report)
    return report


def evaluated_as(task: Any) -> str:
    """The name under which the catalog of metrics has a task: its class's, or a parent's.

    Raises:
        ValueError: it has none.
    """
    name = task_name(type(task))
    if name not in task_names():
        raise ValueError(
            f"`evaluate_on` must be left out unless the task is one of {', '.join(task_names())}. "
            f"Received: a {type(task).__name__}"
        )
    return name


def card_for_export(
    task: Any,
    evaluate_on: Any = None,
    target_language: str = "",
    require: Sequence[str] = (),
    *,
    data: str = "",
    training: Mapping[str, Any] | None = None,
    licence: str = "",
    weights: Mapping[str, Any] | None = None,
    float32: Any = None,
    console: Console | None = None,
) -> dict[str, str]:
    """The files that go beside an exported task, by name: its card, scored first where asked.

    Args:
        task: the task.
        evaluate_on: a tuple of inputs and references, raw examples, a file of them, or a directory
            with a test split; a language model takes texts, or a file of them; `None` scores
            nothing. An input may be a pair of texts, and a reference several. A classifier's labels
            may be numbers.
        target_language: code of the language the task writes, for metrics that split text.
        require: such as "bleu>=30".
        data: name of the data; the file's by default.
        training: settings of the run that trained it, its seed among them.
        licence: under which the model may be used.
        weights: what the card says of them, see `model_card`.
        float32: the same task in float32, which is scored beside it; by default nothing is.
        console: where progress goes; nowhere by default.

    Raises:
        TypeError: a language model is to be evaluated on something else than texts.
        ValueError: there are requirements and nothing to evaluate on, `evaluate_on` is an iterator,
            the task has no metrics, or as `score_for_export`.
        RequirementsNotMet: a score is out of bounds.
    """
    if require and evaluate_on is None:
        raise ValueError(
            "`evaluate_on` must be given with `require`. "
            f"Received: require={', '.join(require)} and no data"
        )
    report = beside = None
    if evaluate_on is not None and evaluated_as(task) == TEXTS:
        report = score_texts_for_export(task, evaluate_on, require, data=data)
        if float32 is not None:
            beside = score_texts_for_export(float32, evaluate_on, data=data)
    elif evaluate_on is not None:
        if isinstance(evaluate_on, (str, os.PathLike)):
            data = data or pathlib.Path(evaluate_on).name
        scored = _scored(task, evaluate_on, target_language)
        report = score_for_export(task.answers, scored, require, data=data, console=console)
        if float32 is not None:
            beside = score_for_export(float32.answers, scored, data=data, console=console)
    card = model_card(
        type(task).__name__,
        task.description(),
        task.input_limits(),
        report=report,
        require=require,
        training=training,
        licence=licence,
        weights=weights,
        float32=beside,
    )
    return {CARD_FILE: to_json(card)}


def _scored(task: Any, evaluate_on: Any, target_language: str) -> ScoredData:
    """What a task is scored on, from what `card_for_export` is given."""
    name = evaluated_as(task)
    settings = {**task.description(), "task": name, "target_language": target_language}
    if isinstance(evaluate_on, (str, os.PathLike)):
        path = pathlib.Path(evaluate_on)
        evaluate_on = open_examples(path, _split_of(path), settings)
    elif isinstance(evaluate_on, Iterator):  # of rows, or of two sides: `zip` makes both
        raise ValueError(
            "`evaluate_on` must be a list of rows, or a tuple of inputs and references. "
            f"Received: an iterator, {type(evaluate_on).__name__}"
        )
    return scored_by(name).scored_data(evaluate_on, settings)


def _split_of(path: pathlib.Path) -> str:
    """ "test" of a directory of splits; "" of a file, and of a folder with one for each label."""
    if not path.is_dir():
        return ""
    is_of_labels = next(path.glob("*/*.txt"), None) is not None
    return "" if is_of_labels and next(path.glob("test*"), None) is None else "test"
