"""Two or more systems on the same examples, side by side, with the significance of what differs."""

import dataclasses
import html
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import rich.table
import rich.text

from tflm.eval.analysis import example_values, sorting_metric
from tflm.eval.evaluation import as_text, as_texts, check_metrics, scores_with_intervals
from tflm.eval.html_parts import cell, page, section, systems_card, table
from tflm.eval.metrics.base import Metric
from tflm.eval.metrics.examples import References, as_list, check_lengths
from tflm.eval.printing import as_plain_text, markdown_cell, printed_interval, printed_label
from tflm.eval.reports import SystemScores
from tflm.eval.significance import Comparison, approximate_randomization, paired_bootstrap

TESTS = ("bootstrap", "randomization")
_NUM_SHOWN = 15
_SIGNIFICANT = 0.05
_TRIALS_PER_RESAMPLE = 10
_HEADERS = ("metric", "system", "score", "interval", "difference", "p")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SideBySide:
    """The outcome of `compare`: scores of every system, and a test of each against the first.

    Args:
        data: Which data it is, for print.
        systems: The systems with their scores; the first is what the others are compared with.
        comparisons: For each further system a test per metric, in the order of the scores.
        examples: The examples that the systems score most differently: number, source, a hypothesis
            per system, references.
        num_examples: How many examples there are.
        target_language: Code of the language of the hypotheses.
    """

    data: str
    systems: tuple[SystemScores, ...]
    comparisons: tuple[tuple[Comparison, ...], ...]
    examples: tuple[tuple[int, str, tuple[str, ...], tuple[str, ...]], ...]
    num_examples: int
    target_language: str = ""

    @property
    def test(self) -> str:
        """Which test it is, with its settings and the caution that several tests need."""
        first = self.comparisons[0][0]
        text = (
            f"p: {first.test}, two-sided, against {self.systems[0].label}; "
            f"{first.num_trials:,} trials, seed {first.seed}"
        )
        count = sum(map(len, self.comparisons))
        return text if count == 1 else f"{text}; {count} tests, not corrected for their number"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that `json` writes."""
        rows = zip(self.systems[1:], self.comparisons, strict=True)
        return {
            "data": self.data,
            "num_examples": self.num_examples,
            "baseline": self.systems[0].name,
            "systems": [system.to_dict() for system in self.systems],
            "comparisons": [
                {"name": system.name, "metric": comparison.system.name, **comparison.to_dict()}
                for system, comparisons in rows
                for comparison in comparisons
            ],
        }

    def to_json(self) -> str:
        """Return `to_dict` as indented JSON that keeps every script readable."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=2) + "\n"

    def rows(self) -> list[tuple[str, str, str, str, str, str]]:
        """Return metric, system, score, interval, difference and p-value of each line in print."""
        lines = []
        for index, score in enumerate(self.systems[0].scores):
            for number, system in enumerate(self.systems):
                ours = system.scores[index]
                lines.append(
                    (
                        printed_label(score) if number == 0 else "",
                        system.label,
                        f"{ours.value:.{ours.digits}f}",
                        printed_interval(ours),
                        *self._difference(index, number),
                    )
                )
        return lines

    def _difference(self, index: int, number: int) -> tuple[str, str]:
        if number == 0:
            return "", ""
        comparison = self.comparisons[number - 1][index]
        mark = " *" if comparison.p_value < _SIGNIFICANT else ""
        digits = comparison.system.digits
        return f"{comparison.difference:+.{digits}f}", f"{comparison.p_value:.4f}{mark}"

    def to_markdown(self) -> str:
        """Return the comparison as Markdown."""
        lines = ["# Comparison", ""]
        lines += [f"Data: {markdown_cell(self.data)}", ""] if self.data else []
        lines += [f"Number of examples: {self.num_examples}", "", f"| {' | '.join(_HEADERS)} |"]
        lines.append("| --- | --- | ---: | ---: | ---: | ---: |")
        lines += [f"| {' | '.join(map(markdown_cell, row))} |" for row in self.rows()]
        lines += ["", markdown_cell(self.test) + f"; * is p < {_SIGNIFICANT}.", "", "Settings:", ""]
        lines += [f"- {s.label}: `{s.signature}`" for s in self.systems[0].scores]
        return "\n".join(lines) + "\n"

    def to_html(self) -> str:
        """Return the comparison as one page without an address in it."""
        rows = [
            (*(cell(text) for text in row[:2]), *(cell(text, "number") for text in row[2:]))
            for row in self.rows()
        ]
        numbers = " ".join(_HEADERS[2:])
        note = f"{self.test}; * is p < {_SIGNIFICANT}."
        settings = [(cell(s.label), cell(s.signature)) for s in self.systems[0].scores]
        parts = [
            section("Scores", table(_HEADERS, rows, numbers=numbers), note=note),
            section("Settings", table(("metric", "settings"), settings)),
        ]
        labels = [system.label for system in self.systems]
        cards = [
            systems_card(
                f"#{number}",
                source,
                dict(zip(labels, hypotheses, strict=True)),
                references,
                self.target_language,
            )
            for number, source, hypotheses, references in self.examples
        ]
        if cards:
            note = "Marked in the outputs: what the nearest reference lacks."
            parts.append(section("Where they differ most", *cards, note=note))
        lead = f"{self.data} · {self.num_examples:,} examples".removeprefix(" · ")
        title = "Comparison: " + ", ".join(system.label for system in self.systems)
        return page(title, [f'<p class="soft">{html.escape(lead)}</p>', *parts])

    def __rich__(self) -> rich.table.Table:
        """Let `rich` print a comparison as a table."""
        signatures = "\n".join(f"{s.label}: {s.signature}" for s in self.systems[0].scores)
        caption = f"number of examples: {self.num_examples}\n{self.test}; * is p < {_SIGNIFICANT}"
        printed = rich.table.Table(
            title=rich.text.Text(self.data) if self.data else None,
            caption=rich.text.Text(f"{caption}\n{signatures}"),
            caption_justify="left",
        )
        for index, header in enumerate(_HEADERS):
            printed.add_column(header, justify="left" if index < 2 else "right", overflow="fold")
        for row in self.rows():
            if row[0] and printed.row_count:
                printed.add_section()
            printed.add_row(*map(rich.text.Text, row))
        return printed

    def to_text(self, width: int = 100) -> str:
        """Return the table as plain text for a terminal `width` columns wide."""
        return as_plain_text(self, width)


def compare(
    systems: Mapping[str, Sequence[Any]],
    sources: Sequence[str] | None,
    references: References | Sequence[Any],
    metrics: Sequence[Metric],
    *,
    test: str = "bootstrap",
    num_resamples: int = 1000,
    seed: int = 12345,
    data: str = "",
    target_language: str = "",
) -> SideBySide:
    """Score systems on the same examples, and test each against the first.

        found = compare({"beam": beam, "greedy": greedy}, sources, references, [BLEU("zh")])
        found.comparisons[0][0].p_value

    Args:
        systems: Hypotheses by name of system; the first is what the others are compared with.
        sources: What was predicted from, or None.
        references: One string, or several, per example.
        metrics: The metrics to compute.
        test: "bootstrap" (paired, Koehn 2004) or "randomization" (approximate, Riezler and Maxwell
            2005, ten trials for each resample).
        num_resamples: Bootstrap resamples, of the intervals and of the test.
        seed: Seed of the resampling.
        data: Which data this is, for print.
        target_language: Code of the language of the hypotheses, for print.

    Raises:
        ValueError: When there are fewer than two systems, `test` is unknown, lengths differ, or
            there is no example or no metric.
    """
    _check(systems, test)
    metrics = check_metrics(metrics)
    references = as_list("references", references)
    hypotheses = {}
    for name, texts in systems.items():
        hypotheses[name] = as_list("hypotheses", texts)
        check_lengths(f"hypotheses of {name}", hypotheses[name], references)
    if sources is not None:
        check_lengths("sources", sources, references)
    statistics = {
        name: [metric.statistics(texts, references) for metric in metrics]
        for name, texts in hypotheses.items()
    }
    order = _most_different(metrics, statistics)
    found = compare_statistics(
        statistics,
        metrics,
        test=test,
        num_resamples=num_resamples,
        seed=seed,
        data=data,
        target_language=target_language,
    )
    examples = (
        (
            i + 1,
            sources[i] if sources else "",
            tuple(as_text(texts[i]) for texts in hypotheses.values()),
            as_texts(references[i]),
        )
        for i in order[:_NUM_SHOWN]
    )
    return dataclasses.replace(found, examples=tuple(examples))


def compare_statistics(
    statistics: Mapping[str, Sequence[np.ndarray]],
    metrics: Sequence[Metric],
    *,
    test: str = "bootstrap",
    num_resamples: int = 1000,
    seed: int = 12345,
    data: str = "",
    target_language: str = "",
) -> SideBySide:
    """Score systems of which each example's statistics are known; none of the examples is shown.

    Args:
        statistics: By name of system, statistics (E, K) of the same examples for each metric; the
            first system is what the others are compared with.
        metrics: The metrics that they are of.
        test: As for `compare`, like all that follows.
        num_resamples: Number of resamples.
        seed: Seed of the resampling.
        data: Which data this is.
        target_language: Code of the language of the hypotheses.

    Raises:
        ValueError: When there are fewer than two systems, or `test` is unknown.
    """
    _check(statistics, test)
    first, *others = statistics
    results = tuple(
        SystemScores(
            name=name,
            label=name,
            scores=scores_with_intervals(
                metrics, statistics[name], num_resamples=num_resamples, seed=seed
            ),
        )
        for name in statistics
    )
    comparisons = tuple(
        tuple(
            _test(test, metric, ours, theirs, num_resamples, seed)
            for metric, ours, theirs in zip(
                metrics, statistics[first], statistics[other], strict=True
            )
        )
        for other in others
    )
    return SideBySide(
        data=data,
        systems=results,
        comparisons=comparisons,
        examples=(),
        num_examples=len(statistics[first][0]),
        target_language=target_language,
    )


def _check(systems: Mapping[str, Any], test: str) -> None:
    if len(systems) < 2:
        raise ValueError(
            f"`systems` must be at least two. Received: {', '.join(systems) or 'none'}"
        )
    if test not in TESTS:
        raise ValueError(f"`test` must be one of {', '.join(TESTS)}. Received: test={test!r}")


def _test(
    test: str, metric: Metric, ours: np.ndarray, theirs: np.ndarray, num_resamples: int, seed: int
) -> Comparison:
    if test == "bootstrap":
        return paired_bootstrap(metric, ours, theirs, num_resamples=num_resamples, seed=seed)
    num_trials = _TRIALS_PER_RESAMPLE * num_resamples
    return approximate_randomization(metric, ours, theirs, num_trials=num_trials, seed=seed)


def _most_different(
    metrics: Sequence[Metric], statistics: Mapping[str, Sequence[np.ndarray]]
) -> list[int]:
    """The examples that the systems score differently, those that differ most first."""
    index = sorting_metric(metrics)
    values = np.array([example_values(metrics[index], rows[index]) for rows in statistics.values()])
    spread = np.nan_to_num(values.max(axis=0) - values.min(axis=0))  # (E,)
    order = np.argsort(-spread, kind="stable")
    return order[spread[order] > 0].tolist()
