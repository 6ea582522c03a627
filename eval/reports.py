"""What an evaluation leaves behind: scores with their settings, and every example.

A report is a folder of four files.

    report.json      scores, settings and the first few examples, for programs
    report.md        the same as tables, for people
    hypotheses.txt   one line per example
    examples.jsonl   source, hypothesis and references of each example: `tflm compare` reads them

Where texts were scored rather than predicted there is a fifth, which it reads instead.

    likelihoods.jsonl   log-probability of each text, and its length in tokens, words, ... of bytes
"""

import dataclasses
import json
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import rich.table
import rich.text

from tflm.eval.metrics.base import Score
from tflm.eval.metrics.labels import Label, LabelSet
from tflm.eval.metrics.lengths import Output
from tflm.eval.metrics.perplexity import ScoredText
from tflm.eval.metrics.squad2 import Answer
from tflm.eval.printing import (
    as_plain_text,
    escape_line,
    markdown_cell,
    printed_interval,
    printed_label,
    unescape_line,
)

_LIKELIHOODS = "likelihoods.jsonl"
_HEADERS = ("metric", "score", "interval", "signature")


@dataclasses.dataclass(frozen=True)
class Example:
    """One example of an evaluation.

    Args:
        source: What was predicted from; empty when the evaluation was given no sources.
        hypothesis: What was predicted.
        references: What was expected, one string or several.
    """

    source: str
    hypothesis: str
    references: tuple[str, ...]

    def format(self, indent: str = "") -> str:
        """Return one labelled line for the source, the hypothesis and each reference."""
        lines = [("source", self.source)] if self.source else []
        lines.append(("hypothesis", self.hypothesis))
        lines.extend(("reference", reference) for reference in self.references)
        return "\n".join(f"{indent}{label:<11} {escape_line(text)}" for label, text in lines)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SystemScores:
    """The scores of one of several systems on the same data.

    Args:
        name: Key in JSON, for example `"lead_3"`.
        label: The name in print.
        scores: Its scores.
    """

    name: str
    label: str
    scores: tuple[Score, ...]

    def __getitem__(self, name: str) -> Score:
        """Return the score of a metric by its name."""
        return find_score(self.scores, name)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that `json` writes and `from_dict` reads."""
        scores = [score.to_dict() for score in self.scores]
        return {"name": self.name, "label": self.label, "scores": scores}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "SystemScores":
        """Build the scores that `to_dict` wrote."""
        scores = tuple(map(Score.from_dict, values["scores"]))
        return cls(name=values["name"], label=values["label"], scores=scores)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """The outcome of an evaluation. The same evaluation gives the same bytes: there is no date in
    it.

    Args:
        task: Name of the task, for example "translation".
        data: Which data was evaluated, for example "Multi30k test 2016, en-de".
        scores: The scores, each with its signature.
        settings: How the predictions were made; values that JSON can hold.
        examples: The first few examples.
        hypotheses: Every prediction; none where a text was scored rather than predicted.
        sources: What each was predicted from; empty when the evaluation was given no sources.
        references: What was expected of each.
        target_language: Code of the language that was generated; empty where none was named.
        baselines: What trivial systems score on the same data.
        likelihoods: Of texts that were scored rather than predicted, what each came to.
    """

    task: str
    data: str
    scores: tuple[Score, ...]
    settings: Mapping[str, Any]
    examples: tuple[Example, ...]
    hypotheses: tuple[str, ...]
    sources: tuple[str, ...] = ()
    references: tuple[tuple[str, ...], ...] = ()
    target_language: str = ""
    baselines: tuple[SystemScores, ...] = ()
    likelihoods: tuple[ScoredText, ...] = ()

    @property
    def num_examples(self) -> int:
        """How many examples were evaluated."""
        return self.scores[0].num_examples if self.scores else len(self.hypotheses)

    def __getitem__(self, name: str) -> Score:
        """Return the score of a metric by its name."""
        return find_score(self.scores, name)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that `json` writes: all but the examples beyond the first few."""
        return {
            "task": self.task,
            "data": self.data,
            "num_examples": self.num_examples,
            "target_language": self.target_language,
            "settings": dict(self.settings),
            "scores": [score.to_dict() for score in self.scores],
            "baselines": [system.to_dict() for system in self.baselines],
            "examples": [
                {**vars(example), "references": list(example.references)}
                for example in self.examples
            ],
        }

    def to_json(self) -> str:
        """Return `to_dict` as indented JSON that keeps every script readable."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=2) + "\n"

    def to_markdown(self) -> str:
        """Return the report as Markdown: a table of scores, the settings, the examples."""
        title = "Evaluation" + (f": {self.task}" if self.task else "")
        lines = [f"# {title}", "", f"Number of examples: {self.num_examples}", ""]
        if self.data:
            lines[2:2] = [f"Data: {markdown_cell(self.data)}", ""]
        lines += [f"| {' | '.join(_HEADERS)} |", "| --- | ---: | ---: | --- |"]
        lines += [f"| {' | '.join(map(markdown_cell, _row(score)))} |" for score in self.scores]
        lines += self._baseline_lines()
        if self.settings:
            lines += ["", "## Settings", "", "| setting | value |", "| --- | --- |"]
            lines += [
                f"| {markdown_cell(key)} | {markdown_cell(str(v))} |"
                for key, v in self.settings.items()
            ]
        if self.examples:
            lines += ["", "## Examples"]
        for example in self.examples:
            # Indented, so that nothing in the text is read as Markdown or HTML.
            lines += ["", example.format(indent="    ")]
        return "\n".join(lines) + "\n"

    def _baseline_lines(self) -> list[str]:
        if not self.baselines:
            return []
        headers = ("system", *(printed_label(score) for score in self.scores))
        rows = [("**this system**", *(score.format_value() for score in self.scores))]
        for system in self.baselines:
            rows.append((system.label, *(score.format_value() for score in system.scores)))
        lines = ["", "## Baselines", "", f"| {' | '.join(map(markdown_cell, headers))} |"]
        lines.append(f"| --- |{' ---: |' * len(self.scores)}")
        return lines + [f"| {' | '.join(map(markdown_cell, row))} |" for row in rows]

    def to_text(self, width: int = 100) -> str:
        """Return the table of scores as plain text for a terminal `width` columns wide."""
        return as_plain_text(self, width)

    def __rich__(self) -> rich.table.Table:
        """Let `rich` print a report as a table."""
        caption = f"number of examples: {self.num_examples}"
        table = rich.table.Table(
            title=rich.text.Text(", ".join(filter(None, (self.task, self.data)))), caption=caption
        )
        for header in _HEADERS:
            table.add_column(
                header,
                justify="right" if header == "score" else "left",
                # Numbers stay whole however long the names beside them are.
                no_wrap=header in ("score", "interval"),
                overflow="fold",
            )
        for score in self.scores:
            table.add_row(*map(rich.text.Text, _row(score)))
        for system in self.baselines:
            table.add_section()
            for score in system.scores:
                label, value, interval, _ = _row(score)
                cells = (f"{label}, {system.label}", value, interval, "")
                table.add_row(*(rich.text.Text(cell, style="dim") for cell in cells))
        return table

    def write(self, directory: str | os.PathLike[str]) -> None:
        """Write the files into a directory, made if missing.

        All are written beside their final names first, so a failure leaves an earlier report whole.
        In hypotheses.txt a line is an example: a line break is written `\\n` or `\\r`, and a
        backslash `\\\\`.
        """
        directory = pathlib.Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        texts = {
            "report.json": self.to_json(),
            "report.md": self.to_markdown(),
            "hypotheses.txt": "".join(f"{escape_line(text)}\n" for text in self.hypotheses),
            "examples.jsonl": "".join(self._example_lines()),
        }
        if self.likelihoods:
            lines = (json.dumps(vars(text)) + "\n" for text in self.likelihoods)
            texts[_LIKELIHOODS] = "".join(lines)
        partial = {name: directory / f".{name}.partial" for name in texts}
        try:
            for name, text in texts.items():
                partial[name].write_text(text, encoding="utf-8", newline="\n")
            for name in texts:
                os.replace(partial[name], directory / name)
            if not self.likelihoods:  # an earlier report's
                (directory / _LIKELIHOODS).unlink(missing_ok=True)
        finally:
            for path in partial.values():
                path.unlink(missing_ok=True)

    def all_examples(self) -> list[Example]:
        """Return every example; none where the references are not known."""
        sources = self.sources or ("",) * len(self.references)
        rows = zip(sources, self.hypotheses, self.references, strict=False)
        return [Example(*row) for row in rows]

    def given_references(self) -> list[str] | list[tuple[str, ...]]:
        """Return the references as metrics read them: strings where every example has one."""
        if not self.has_label_sets and all(len(entry) == 1 for entry in self.references):
            return [entry[0] for entry in self.references]
        return list(self.references)

    @property
    def has_label_sets(self) -> bool:
        """Whether any number of labels was predicted for each example."""
        return any(isinstance(each, LabelSet) for each in self.hypotheses)

    def given_hypotheses(self) -> list[Any]:
        """Return the hypotheses as metrics read them: several labels as a tuple."""
        return [each.labels if isinstance(each, LabelSet) else each for each in self.hypotheses]

    def _example_lines(self) -> Iterator[str]:
        for example in self.all_examples():
            # What an `Output`, a `Label`, a `LabelSet` or an `Answer` knows beside its text.
            known = getattr(example.hypothesis, "__dict__", {})
            yield json.dumps({**vars(example), **known}, ensure_ascii=False) + "\n"

    @classmethod
    def read(cls, directory: str | os.PathLike[str]) -> "Report":
        """Read the report that `write` left in `directory`.

        Raises:
            FileNotFoundError: When there is none.
        """
        directory = pathlib.Path(directory)
        files = ("report.json", "hypotheses.txt")
        missing = [name for name in files if not (directory / name).is_file()]
        if missing:
            raise FileNotFoundError(
                "`directory` must be a report, which `tflm evaluate --out` writes. "
                f"Received: {directory} without {' and '.join(missing)}"
            )
        values = json.loads((directory / "report.json").read_text(encoding="utf-8"))
        lines = (directory / "hypotheses.txt").read_text(encoding="utf-8").split("\n")[:-1]
        texts = [unescape_line(line) for line in lines]
        rows = _read_lines(directory / "examples.jsonl")
        sources = tuple(row["source"] for row in rows)
        return cls(
            task=values["task"],
            data=values["data"],
            scores=tuple(map(Score.from_dict, values["scores"])),
            settings=values["settings"],
            examples=tuple(
                Example(entry["source"], entry["hypothesis"], tuple(entry["references"]))
                for entry in values["examples"]
            ),
            hypotheses=tuple(map(_as_predicted, texts, rows)) if rows else tuple(texts),
            sources=sources if any(sources) else (),
            references=tuple(tuple(row["references"]) for row in rows),
            # Reports of the first release lack these two and examples.jsonl.
            target_language=values.get("target_language", ""),
            baselines=tuple(map(SystemScores.from_dict, values.get("baselines", ()))),
            likelihoods=tuple(ScoredText(**row) for row in _read_lines(directory / _LIKELIHOODS)),
        )


def find_score(scores: tuple[Score, ...], name: str) -> Score:
    """Return the score of that name.

    Raises:
        KeyError: When there is none; the message lists the known ones.
    """
    for score in scores:
        if score.name == name:
            return score
    known = ", ".join(score.name for score in scores)
    raise KeyError(f"`name` must be one of {known}. Received: name={name!r}")


def _read_lines(path: pathlib.Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def _as_predicted(text: str, row: Mapping[str, Any]) -> str:
    """Return a text with what its row knows of it beside."""
    if "truncated" in row:
        return Output(text, truncated=row["truncated"])
    if "no_answer_probability" in row:
        return Answer(text, row["no_answer_probability"])
    if "labels" in row:
        return LabelSet(row["labels"])
    return Label(text, row["probabilities"]) if "probabilities" in row else text


def _row(score: Score) -> tuple[str, str, str, str]:
    interval = ""
    if score.interval is not None:
        interval = f"{printed_interval(score)} at {100 * score.interval.level:g} %"
    return printed_label(score), f"{score.value:.{score.digits}f}", interval, score.signature
