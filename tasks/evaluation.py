"""From a model, wherever it is, and data to a report; and the evaluation before an export."""

import os
import pathlib
import re
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from tflm.data import BadLineReport
from tflm.eval import Metric, Report, evaluate
from tflm.eval.baselines import baselines_for
from tflm.eval.catalog import (
    check_reads,
    labels_of,
    metrics_named,
    task_metric_names,
    task_names,
)
from tflm.eval.requirements import Requirement, check_known, check_requirements
from tflm.tasks.answering import answer_all, labels_in_order, model_name, source_text
from tflm.tasks.likelihood import TASK as TEXTS
from tflm.tasks.likelihood import likelihood_metrics, likelihood_report
from tflm.tasks.model_card import CARD_FILE, model_card, to_json
from tflm.tasks.predictor import Predict, open_predictor
from tflm.tasks.sources import open_split

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
    check_reads(names, "texts")
    metrics_named(names, languages[1], labels_of(references))  # what is wrong shows before the work
    trivial = baselines_for(task) if baseline else ()
    predict, labels = open_predictor(location), labels_in_order(location)
    answers = answer_all(predict, list(sources), console, labels=labels)
    # A model may know labels that the data does not have.
    found = metrics_named(names, languages[1], labels_of([*references, *answers]))
    report = evaluate(
        answers,
        sources,
        references,
        found,
        task=f"{task} {'-'.join(languages)}",
        data=data,
        settings={"model": model_name(location)},
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


def score_for_export(
    predict: Predict,
    evaluate_on: Pairs | str | os.PathLike[str],
    target_language: str,
    require: Sequence[str] = (),
    *,
    task: str = "translation",
    labels: Sequence[str] = (),
    data: str = "",
    console: Console | None = None,
) -> Report:
    """Scores what is about to be exported, and refuses what falls short.

    Args:
        predict: from texts to answers with their outputs by name.
        evaluate_on: sources and references, or a file of pairs. A source may be a pair of texts,
            and a reference several.
        target_language: code of the language of the answers, for metrics that split text.
        require: such as "bleu>=30"; each metric named is computed beside the task's own.
        task: chooses the metrics.
        labels: of a classifier, in the order of its probabilities.
        data: name of the data; the file's by default.
        console: where progress goes; nowhere by default.

    Raises:
        ValueError: a requirement is malformed or names no metric, or the data holds
            nothing.
        RequirementsNotMet: a score is out of bounds.
    """
    requirements = [Requirement.parse(text) for text in require]
    if isinstance(evaluate_on, (str, os.PathLike)):
        path = pathlib.Path(evaluate_on)
        data = data or path.name
        sources, references = read_pairs(path, "", ("", ""))
    else:
        sources, references = (list(side) for side in evaluate_on)
    names = default_metrics(task)
    if task == "question_answering" and not all(references):  # some have no answer
        names = ("exact_match_squad2", "f1_squad2")
    names = (*names, *(requirement.metric for requirement in requirements))
    check_reads(names, "texts")
    metrics = metrics_named(names, target_language, labels_of(references))
    check_known(requirements, [metric.name for metric in metrics])  # before the work
    answers = answer_all(predict, sources, console, labels=labels)
    report = evaluate(
        answers,
        [source_text(source) for source in sources],
        references,
        metrics_named(names, target_language, labels_of([*references, *answers])),
        task=task,
        data=data,
        target_language=target_language,
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
    for cls in type(task).__mro__:
        name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()  # CausalLM -> causal_lm
        if name in task_names():
            return name
    raise ValueError(
        f"`evaluate_on` must be left out unless the task is one of {', '.join(task_names())}. "
        f"Received: a {type(task).__name__}"
    )


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
        evaluate_on: sources and references, or a file of pairs; of a language model texts, or a
            file of them; of question answering also raw examples, or a file in SQuAD's format;
            `None` scores nothing.
        target_language: code of the language the task writes, for metrics that split text.
        require: such as "bleu>=30".
        data: name of the data; the file's by default.
        training: settings of the run that trained it, its seed among them.
        console: where progress goes; nowhere by default.

    Raises:
        TypeError: a language model is to be evaluated on something else than texts.
        ValueError: there are requirements and nothing to evaluate on, the task has no metrics, or
            as `score_for_export`.
        RequirementsNotMet: a score is out of bounds.
    """
    if require and evaluate_on is None:
        raise ValueError(
            "`evaluate_on` must be given with `require`. "
            f"Received: require={', '.join(require)} and no data"
        )
    report = None
    if evaluate_on is not None:
        name = evaluated_as(task)
        if name == "question_answering" and not isinstance(evaluate_on, tuple):
            if isinstance(evaluate_on, (str, os.PathLike)):
                data = data or pathlib.Path(evaluate_on).name
            rows = task.examples(evaluate_on)
            evaluate_on = (list(rows), [example.texts for example in rows.examples])
        if name == TEXTS:
            report = score_texts_for_export(task, evaluate_on, require, data=data)
        else:
            report = score_for_export(
                task.answers,
                evaluate_on,
                target_language,
                require,
                task=name,
                labels=getattr(task, "labels", ()),
                data=data,
                console=console,
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
