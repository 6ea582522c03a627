"""Evaluation of plain files and of written reports: no model, hence no TensorFlow."""

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from tflm.eval.baselines import baselines_for
from tflm.eval.catalog import check_reads, labels_of, metrics_named, task_metric_names
from tflm.eval.comparison import SideBySide, compare, compare_statistics
from tflm.eval.evaluation import evaluate
from tflm.eval.metrics.base import Metric
from tflm.eval.metrics.perplexity import likelihood_statistics
from tflm.eval.printing import unescape_line
from tflm.eval.reports import Report
from tflm.eval.text_files import PathLike, read_lines, read_references

_LANGUAGE_MODEL = "causal_lm"  # the task of a report whose texts were scored, not predicted


def evaluate_files(
    hypotheses: PathLike,
    references: Sequence[PathLike],
    sources: PathLike | None = None,
    *,
    target_language: str,
    task: str = "translation",
    metrics: Sequence[str] = (),
    baseline: bool = False,
) -> tuple[Report, list[Metric]]:
    """Score a file of hypotheses, a line per example, and return the report and its metrics.

    Args:
        hypotheses: The file of what was predicted.
        references: Files of what was expected; several are several references of each example.
        sources: The file of what was predicted from.
        target_language: Code of the language of the hypotheses; only metrics that split text into
            words need it.
        task: It chooses the metrics when none is named, and the baselines.
        metrics: Names of metrics, see `tflm.eval.catalog`.
        baseline: Also score the trivial systems of the task.

    Raises:
        FileNotFoundError: When a file does not exist.
        ValueError: When files differ in length, a name is unknown, or a metric needs the
            language and it is empty.
    """
    texts, expected = _lines_of(hypotheses), read_references(references)
    given = [entry[0] for entry in expected] if len(references) == 1 else expected
    names = metrics or task_metric_names(task)
    check_reads(names, "texts")
    found = metrics_named(names, target_language, labels_of([*given, *texts]))
    report = evaluate(
        texts,
        None if sources is None else read_lines(sources),
        given,
        found,
        task=task,
        data=", ".join(pathlib.Path(path).name for path in references),
        settings={"hypotheses": pathlib.Path(hypotheses).name},
        target_language=target_language,
        baselines=baselines_for(task) if baseline else (),
    )
    return report, found


def compare_paths(
    paths: Sequence[PathLike],
    references: Sequence[PathLike] = (),
    sources: PathLike | None = None,
    *,
    target_language: str = "",
    task: str = "translation",
    metrics: Sequence[str] = (),
    test: str = "bootstrap",
    num_resamples: int = 1000,
    seed: int = 12345,
) -> SideBySide:
    """Compare reports that `tflm evaluate --out` wrote, or files of hypotheses, with the first.

    Reports of language models hold no texts: of those the likelihoods are compared, text by text.

    Args:
        paths: Directories of reports, or files with a hypothesis a line.
        references: Files of references; a report has its own.
        sources: The file of what was predicted from; a report has its own.
        target_language: Code of the language of the hypotheses; the first report's by default.
        task: It chooses the metrics when none is named and the first path is no report.
        metrics: Names of metrics; the first report's by default.
        test: "bootstrap" or "randomization".
        num_resamples: Bootstrap resamples.
        seed: Seed of the resampling.

    Raises:
        FileNotFoundError: When a path does not exist.
        ValueError: When there are fewer than two paths, the reports are of different data,
            something that no report holds is not given, or a file is to be compared with reports
            of any number of labels; of language models, when one is another
            kind of system, they scored a single text, or a metric depends on tokenizers that
            differ.
    """
    reports = {
        name: Report.read(path)
        for name, path in _names(paths).items()
        if pathlib.Path(path).is_dir()
    }
    options: dict[str, Any] = {"test": test, "num_resamples": num_resamples, "seed": seed}
    if any(report.task == _LANGUAGE_MODEL for report in reports.values()):
        return _compare_likelihoods(list(_names(paths)), reports, metrics, options)
    several = any(report.has_label_sets for report in reports.values())
    texts: dict[str, Sequence[Any]] = {
        name: reports[name].given_hypotheses() if name in reports else _lines_of(path, several)
        for name, path in _names(paths).items()
    }
    first = next(iter(reports.values()), None)
    expected = read_references(references) if references else _shared_references(reports)
    single = not several and all(len(entry) == 1 for entry in expected)
    given = [entry[0] for entry in expected] if single else expected
    inputs: Sequence[str] | None = None if sources is None else read_lines(sources)
    if inputs is None and first is not None:
        inputs = first.sources or None
    language = target_language or (first.target_language if first else "")
    names = metrics or ([score.name for score in first.scores] if first else ())
    names = names or task_metric_names(task)
    check_reads(names, "label sets" if several else "texts")
    everything = [*given, *(text for column in texts.values() for text in column)]
    return compare(
        texts,
        inputs,
        given,
        metrics_named(names, language, labels_of(everything), multi_label=several),
        **options,
        data=first.data if first else ", ".join(pathlib.Path(path).name for path in references),
        target_language=language,
    )


def _lines_of(path: PathLike, several: bool = False) -> list[str]:
    """The hypotheses of a file; in a report's own, line breaks and backslashes are escaped."""
    if several:
        raise ValueError(
            "`paths` must all be reports where an example has any number of labels, which a line "
            f"does not tell apart. Received: {path}"
        )
    lines, path = read_lines(path), pathlib.Path(path)
    is_of_report = path.name == "hypotheses.txt" and (path.parent / "report.json").is_file()
    return [unescape_line(line) for line in lines] if is_of_report else lines


def _compare_likelihoods(
    names: Sequence[str],
    reports: Mapping[str, Report],
    metrics: Sequence[str],
    options: Mapping[str, Any],
) -> SideBySide:
    """Compare language models by what each text came to."""
    for name in names:
        if name not in reports or not reports[name].likelihoods:
            raise ValueError(
                "`systems` must all be reports of language models, with likelihoods.jsonl, which "
                f"`tflm evaluate --out` writes. Received: {name}, which has none"
            )
    first, *others = (reports[name].likelihoods for name in names)
    lengths = [text.lengths for text in first]
    for name, other in zip(names[1:], others, strict=True):
        if [text.lengths for text in other] != lengths:
            raise ValueError(
                "`systems` must be reports of the same data. "
                f"Received: {names[0]} and {name}, whose texts differ in length"
            )
    if len(first) < 2:
        raise ValueError(
            "`systems` must be reports of two texts or more: a paired test draws texts anew. "
            "Received: 1 text"
        )
    whole = reports[names[0]]
    wanted = metrics or [score.name for score in whole.scores]
    check_reads(wanted, "likelihoods")
    found = metrics_named(wanted, "")
    tokens = [[text.num_tokens for text in texts] for texts in (first, *others)]
    if any(counts != tokens[0] for counts in tokens):  # a token is not the same unit
        kept = [metric for metric in found if getattr(metric, "unit", "") != "token"]
        if not kept or (metrics and len(kept) < len(found)):
            raise ValueError(
                "`metric` must be by the word, character or byte where tokenizers differ. "
                f"Received: metric={', '.join(wanted)} of {', '.join(map(str, map(sum, tokens)))} "
                "tokens"
            )
        found = kept
    statistics = {name: likelihood_statistics(reports[name].likelihoods) for name in names}
    return compare_statistics(
        {name: [rows] * len(found) for name, rows in statistics.items()},
        found,
        **options,
        data=whole.data,
    )


def _names(paths: Sequence[PathLike]) -> Mapping[str, PathLike]:
    """The systems' names: the last part of each path, or as much of it as tells them apart."""
    parts = [pathlib.Path(os.path.abspath(path)).parts for path in paths]
    for length in range(1, max(map(len, parts), default=1) + 1):
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            return dict(zip(names, paths, strict=True))
    raise ValueError(
        f"`systems` must be different paths. Received: {', '.join(map(str, paths)) or 'none'}"
    )


def _shared_references(reports: Mapping[str, Report]) -> Sequence[tuple[str, ...]]:
    """The references that all reports were made with."""
    if not reports:
        raise ValueError("`references` must be given for files of hypotheses. Received: none")
    (first, whole), *others = reports.items()
    if not whole.references:
        raise ValueError(
            "`references` must be given for a report without examples.jsonl. "
            f"Received: none, and {first} has no examples.jsonl"
        )
    for name, other in others:
        if other.references and other.references != whole.references:
            raise ValueError(
                "`systems` must be reports of the same data. "
                f"Received: {first} and {name}, whose references differ"
            )
    return whole.references
