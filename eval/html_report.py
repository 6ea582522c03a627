"""A report as one page of HTML: no address in it, under three megabytes for a thousand examples."""

import html
import os
import pathlib
from collections.abc import Sequence

import numpy as np

from tflm.eval.analysis import Analysis, analyze
from tflm.eval.html_parts import cell, clip_bytes, example_card, page, section, table
from tflm.eval.metrics.base import Metric
from tflm.eval.plots import check_matplotlib, plot_by_length, plot_lengths, plot_values
from tflm.eval.printing import printed_interval, printed_label
from tflm.eval.reports import Example, Report

_NUM_WORST = 20
_NUM_BEST = 10
_MAX_LISTED = 1000
_LISTED_BYTES = 1_500_000  # of the table of all examples
_MAX_CLASSES = 30


def write_html(report: Report, metrics: Sequence[Metric], *paths: str | os.PathLike[str]) -> None:
    """Write the page of a report, whole or not at all.

    Args:
        report: The report. One without references, of texts that were scored rather than
            predicted, has no plots and no examples.
        metrics: The metrics it was made with.
        *paths: Files; their folders are made if missing.

    Raises:
        ImportError: When matplotlib is not installed.
    """
    check_matplotlib()
    text = to_html(report, analyze(report, metrics) if report.references else None)
    for path in paths:
        write_page(text, path)


def write_page(text: str, path: str | os.PathLike[str]) -> None:
    """Write a page beside its name, then rename it."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8", newline="\n")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def to_html(report: Report, analysis: Analysis | None) -> str:
    """Return the page of a report and of what `analyze` found in it, where it has examples."""
    count = f"{report.num_examples:,} example" + ("s" if report.num_examples != 1 else "")
    lead = " · ".join(filter(None, (report.data, count)))
    parts = [f'<p class="soft">{html.escape(lead)}</p>', _scores(report)]
    if report.baselines:
        parts.append(_baselines(report))
    if analysis is not None:
        if 0 < len(analysis.classes) <= _MAX_CLASSES:
            parts.append(_confusion(analysis))
        parts += [_plots(analysis), *_extremes(report, analysis), _all_examples(report, analysis)]
    parts.append(_details(report))
    return page("Evaluation" + (f": {report.task}" if report.task else ""), parts)


def _scores(report: Report) -> str:
    rows = []
    for score in report.scores:
        rows.append(
            (
                cell(printed_label(score), "main"),
                cell(f"{score.value:.{score.digits}f}", "number main"),
                cell(printed_interval(score), "number"),
                f"<td><code>{html.escape(score.signature)}</code></td>",
            )
        )
    interval = next((score.interval for score in report.scores if score.interval), None)
    note = ""
    if interval:
        note = (
            f"Intervals: {100 * interval.level:g} % of {interval.num_resamples:,} bootstrap "
            f"resamples, seed {interval.seed}."
        )
    headers = ("metric", "score", "interval", "settings")
    return section("Scores", table(headers, rows, numbers="score interval"), note=note)


def _baselines(report: Report) -> str:
    headers = ("metric", "this system", *(system.label for system in report.baselines))
    systems = [report.scores, *(system.scores for system in report.baselines)]
    rows = [
        (cell(printed_label(scores[0])), *(cell(s.format_value(), "number") for s in scores))
        for scores in zip(*systems, strict=True)
    ]
    return section(
        "Beside trivial systems", table(headers, rows, "fit"), note="On the same examples."
    )


def _confusion(analysis: Analysis) -> str:
    rows = []
    totals = np.maximum(analysis.confusion.sum(axis=1), 1)  # (classes,)
    for name, counts, total in zip(analysis.classes, analysis.confusion, totals, strict=True):
        cells = [cell(name)]
        for count in counts.tolist():
            share = f"{100 * count / total:.0f}%"
            cells.append(f'<td class="heat" style="--share:{share}" title="{share}">{count:,}</td>')
        rows.append(cells)
    return section(
        "Confusion",
        table(("true \\ predicted", *analysis.classes), rows, "fit"),
        note="Rows are true classes, columns predicted ones; shading is the share of the row.",
    )


def _plots(analysis: Analysis) -> str:
    by_length = plot_by_length(analysis.bins, analysis.length_of)
    counts = ", ".join(f"{b.label}: {b.num_examples:,}" for b in analysis.bins)
    parts = [by_length, f'<p class="soft small">Examples by length: {counts}.</p>']
    pair = []
    if not analysis.classes:
        if np.isfinite(analysis.values).any():
            pair.append(plot_values(analysis.values, analysis.sorted_by))
        pair.append(plot_lengths(analysis.output_lengths, analysis.reference_lengths))
    parts.append(f'<div class="plots">{"".join(pair)}</div>' if pair else "")
    return section(
        "By length",
        *parts,
        note="A token is a word or mark, or a character of a script without spaces. Bars are the "
        "score of all examples of that length together, with its bootstrap interval.",
    )


def _extremes(report: Report, analysis: Analysis) -> list[str]:
    examples = report.all_examples()
    order = [index for index in analysis.order.tolist() if np.isfinite(analysis.values[index])]
    if analysis.classes:  # a right answer teaches nothing, and the worst are the wrong ones
        order = [i for i in order if examples[i].hypothesis not in examples[i].references]
    num_best = 0 if analysis.classes else min(_NUM_BEST, len(order) // 2)
    worst = order[: min(_NUM_WORST, len(order) - num_best)]
    best = order[::-1][:num_best]
    note = (
        f"By {analysis.sorted_by}. Marked in the output: what the reference lacks (dashed). Marked "
        "in the reference: what the output lacks (solid)."
    )
    parts = []
    first = "Wrong examples" if analysis.classes else "Worst examples"
    for heading, chosen in ((first, worst), ("Best examples", best)):
        cards = [_card(i, examples[i], analysis, report.target_language) for i in chosen]
        if cards:
            parts.append(section(heading, *cards, note=note))
    return parts


def _card(index: int, example: Example, analysis: Analysis, language: str) -> str:
    heading = f"#{index + 1}"
    if not analysis.classes:  # all that are shown are wrong
        heading += f" · {analysis.values[index]:.{analysis.digits}f}"
    return example_card(heading, example, language)


def _all_examples(report: Report, analysis: Analysis) -> str:
    examples = report.all_examples()[:_MAX_LISTED]
    headers = ["#", "score", *(["source"] if report.sources else []), "output", "reference"]
    limit = _LISTED_BYTES // (len(examples) * (len(headers) - 2))
    rows = []
    for index, example in enumerate(examples):
        texts = [example.source] if report.sources else []
        texts += [example.hypothesis, "\n".join(example.references)]
        value = analysis.values[index]
        shown = f"{value:.{analysis.digits}f}" if np.isfinite(value) else ""
        cells = [cell(str(index + 1), "number"), cell(shown, "number")]
        rows.append(cells + [cell(clip_bytes(text, limit)) for text in texts])
    several = "All" if len(examples) == report.num_examples else f"The first {len(examples):,}"
    field = '<input id="filter" type="search" placeholder="Show rows that contain …">'
    body = field + table(headers, rows, "all", numbers="# score")
    summary = f"<summary>{several} {report.num_examples:,} examples</summary>"
    if len(examples) < report.num_examples:
        summary = f"<summary>{several} of {report.num_examples:,} examples</summary>"
    return section("Examples", f"<details>{summary}{body}</details>")


def _details(report: Report) -> str:
    rows = [(cell(name), cell(str(value))) for name, value in report.settings.items()]
    parts = [table(("setting", "value"), rows, "fit")] if rows else []
    components = [
        (cell(score.label), cell(name), cell(f"{value:.4g}", "number"))
        for score in report.scores
        for name, value in score.components.items()
    ]
    if components:
        body = table(("metric", "part", "value"), components, "fit")
        parts.append(f"<details><summary>Parts of the scores</summary>{body}</details>")
    return section("Settings", *parts) if parts else ""
