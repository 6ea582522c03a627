"""How likely a language model, wherever it is, finds texts: from that to a report of perplexity."""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_text  # noqa: F401  registers the ops that SavedModels use

from tflm.eval import Likelihood, Metric, Report, evaluate
from tflm.eval.catalog import check_reads, metrics_named, task_metric_names
from tflm.eval.metrics.perplexity import ScoredText
from tflm.tasks.answering import model_name
from tflm.tasks.base import Task
from tflm.tasks.predictor import saved_model_directory, task_directory
from tflm.tasks.served import is_address, open_served
from tflm.tasks.string_tensors import string_tensor

Likelihoods = Callable[[list[str]], list[Likelihood]]

TASK = "causal_lm"
_SIGNATURE = "score"
_TEXTS_PER_CALL = 64


def open_likelihoods(location: str | os.PathLike[str]) -> Likelihoods:
    """A function from texts to their likelihoods.

    Args:
        location: A run, a saved task, a SavedModel, or a server's address as `tflm.tasks.served`
            takes them.

    Raises:
        FileNotFoundError: A path holds no model.
        ValueError: The model is no language model, or an address has another form.
    """
    if is_address(location):
        return _by_length(open_served(str(location), _SIGNATURE), str(location))
    path = pathlib.Path(location)
    directory = saved_model_directory(path)
    if directory is not None:
        return _by_length(_from_saved_model(directory), str(location))
    task = Task.from_pretrained(task_directory(path))
    if not hasattr(task, "likelihoods"):
        raise _no_language_model(f"a {type(task).__name__} in {path}")
    return task.likelihoods


def likelihood_report(
    likelihoods: Sequence[Likelihood],
    texts: Sequence[str],
    metrics: Sequence[Metric],
    *,
    data: str = "",
    settings: Mapping[str, Any] | None = None,
) -> Report:
    """A report of texts that were scored rather than predicted: it has no examples.

    What each text came to is in it, for `tflm compare`; the texts are not.

    Args:
        likelihoods: What the model says of each text.
        texts: The texts.
        metrics: Metrics that read likelihoods.
        data: Name of the data.
        settings: How the texts were scored; values that JSON can hold.
    """
    report = evaluate(
        likelihoods,
        None,
        texts,
        metrics,
        task=TASK,
        data=data,
        settings=settings,
        num_resamples=1000 if len(texts) > 1 else 0,  # one text has no spread
        num_shown=0,
    )
    scored = tuple(map(ScoredText.of, likelihoods, texts))
    return dataclasses.replace(report, hypotheses=(), references=(), likelihoods=scored)


def evaluate_likelihood(
    location: str, texts: Sequence[str], *, metrics: Sequence[str] = (), data: str = ""
) -> tuple[Report, list[Metric]]:
    """Scores a language model on texts; returns its report and metrics.

    Args:
        location: As `open_likelihoods` takes it.
        texts: Texts of any length.
        metrics: Names of metrics; perplexity, and bits per character and byte, by default.
        data: Name of the data, for the report.

    Raises:
        FileNotFoundError: There is no model at a path.
        ConnectionError: No server answers at an address.
        ValueError: A name is unknown or of another kind of metric, or the model is no language
            model.
    """
    found = likelihood_metrics(metrics)
    settings = {"model": model_name(location)}
    scored = open_likelihoods(location)(list(texts))
    return likelihood_report(scored, texts, found, data=data, settings=settings), found


def likelihood_metrics(names: Sequence[str] = ()) -> list[Metric]:
    """The metrics of these names, and without any those of a language model.

    Raises:
        ValueError: A name is unknown or of a metric that reads no likelihoods.
    """
    names = names or task_metric_names(TASK)
    check_reads(names, "likelihoods")
    return metrics_named(names, "")  # of any language


def _by_length(score: Callable[[list[str]], list[dict[str, Any]]], location: str) -> Likelihoods:
    """What `score` answers to texts of like length at a time, in the order of the texts."""

    def likelihoods(texts: list[str]) -> list[Likelihood]:
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        answers = score([texts[i] for i in order])
        if answers and not {"log_probability", "num_tokens"} <= set(answers[0]):
            raise _no_language_model(f"{', '.join(sorted(answers[0]))} from {location}")
        found: list[Any] = [None] * len(texts)
        for i, answer in zip(order, answers, strict=True):
            # Rounding can end above 0.
            total = min(answer["log_probability"], 0.0)
            found[i] = Likelihood(total, answer["num_tokens"])
        return found

    return likelihoods


def _from_saved_model(directory: pathlib.Path) -> Callable[[list[str]], list[dict[str, Any]]]:
    loaded = tf.saved_model.load(str(directory))
    signatures: Any = loaded.signatures
    function = signatures.get(_SIGNATURE)
    if function is None or set(function.structured_input_signature[1]) != {"text"}:
        names = ", ".join(sorted(signatures))
        raise _no_language_model(f"signatures {names} in {directory}")

    def score(texts: list[str]) -> list[dict[str, Any]]:
        answers: list[dict[str, Any]] = []
        for start in range(0, len(texts), _TEXTS_PER_CALL):
            found = function(text=string_tensor("texts", texts[start : start + _TEXTS_PER_CALL]))
            columns = {name: value.numpy().tolist() for name, value in found.items()}
            rows = zip(*columns.values(), strict=True)
            answers += [dict(zip(columns, row, strict=True)) for row in rows]
        return answers

    score.module = loaded  # its variables live as long as it does
    return score


def _no_language_model(received: str) -> ValueError:
    return ValueError(
        "`model` must be a language model, with a signature `score` from `text` to "
        f"`log_probability` and `num_tokens`. Received: {received}"
    )
