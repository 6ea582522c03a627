"""What an evaluation leaves behind: scores with their settings, a few examples, every hypothesis.

A report is a folder of three files.

    report.json      everything but the hypotheses, for programs
    report.md        the same as a table, for people
    hypotheses.txt   one line per example
"""

import dataclasses
import io
import json
import os
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import rich.console
import rich.table
import rich.text

from tflm.eval.metrics.base import Score

_HEADERS = ("metric", "score", "interval", "signature")
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
_UNESCAPES = {escaped: text for text, escaped in _ESCAPES.items()}


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
class Report:
    """The outcome of an evaluation. The same evaluation gives the same bytes: there is no date in
    it.

    Args:
        task: Name of the task, for example "translation".
        data: Which data was evaluated, for example "Multi30k test 2016, en-de".
        scores: The scores, each with its signature.
        settings: How the predictions were made; values that JSON can hold.
        examples: The first few examples.
        hypotheses: Every prediction.
    """

    task: str
    data: str
    scores: tuple[Score, ...]
    settings: Mapping[str, Any]
    examples: tuple[Example, ...]
    hypotheses: tuple[str, ...]

    @property
    def num_examples(self) -> int:
        """How many examples were evaluated."""
        return len(self.hypotheses)

    def __getitem__(self, name: str) -> Score:
        """Return the score of a metric by its name."""
        for score in self.scores:
            if score.name == name:
                return score
        known = ", ".join(score.name for score in self.scores)
        raise KeyError(f"`name` must be one of {known}. Received: name={name!r}")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that `json` writes: everything but `hypotheses`."""
        return {
            "task": self.task,
            "data": self.data,
            "num_examples": self.num_examples,
            "settings": dict(self.settings),
            "scores": [score.to_dict() for score in self.scores],
            "examples": [
                {**dataclasses.asdict(example), "references": list(example.references)}
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
            lines[2:2] = [f"Data: {_cell(self.data)}", ""]
        lines += [f"| {' | '.join(_HEADERS)} |", "| --- | ---: | ---: | --- |"]
        lines += [f"| {' | '.join(map(_cell, _row(score)))} |" for score in self.scores]
        if self.settings:
            lines += ["", "## Settings", "", "| setting | value |", "| --- | --- |"]
            lines += [f"| {_cell(key)} | {_cell(str(v))} |" for key, v in self.settings.items()]
        if self.examples:
            lines += ["", "## Examples"]
        for example in self.examples:
            # Indented, so that nothing in the text is read as Markdown or HTML.
            lines += ["", example.format(indent="    ")]
        return "\n".join(lines) + "\n"

    def to_text(self, width: int = 100) -> str:
        """Return the table of scores as plain text for a terminal `width` columns wide."""
        console = rich.console.Console(
            file=io.StringIO(), width=width, force_terminal=False, color_system=None
        )
        with console.capture() as capture:
            console.print(self)
        return capture.get()

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
                no_wrap=header != "signature",
                overflow="fold",
            )
        for score in self.scores:
            table.add_row(*map(rich.text.Text, _row(score)))
        return table

    def write(self, directory: str | os.PathLike[str]) -> None:
        """Write report.json, report.md and hypotheses.txt into a directory, made if missing.

        All three are written beside their final names first, so a failure leaves an earlier report
        whole. In hypotheses.txt a line is an example: a line break is written `\\n` or `\\r`, and a
        backslash `\\\\`.
        """
        directory = pathlib.Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        texts = {
            "report.json": self.to_json(),
            "report.md": self.to_markdown(),
            "hypotheses.txt": "".join(f"{escape_line(text)}\n" for text in self.hypotheses),
        }
        partial = {name: directory / f".{name}.partial" for name in texts}
        try:
            for name, text in texts.items():
                partial[name].write_text(text, encoding="utf-8", newline="\n")
            for name in texts:
                os.replace(partial[name], directory / name)
        finally:
            for path in partial.values():
                path.unlink(missing_ok=True)

    @classmethod
    def read(cls, directory: str | os.PathLike[str]) -> "Report":
        """Read the report that `write` left in `directory`."""
        directory = pathlib.Path(directory)
        values = json.loads((directory / "report.json").read_text(encoding="utf-8"))
        lines = (directory / "hypotheses.txt").read_text(encoding="utf-8").split("\n")[:-1]
        return cls(
            task=values["task"],
            data=values["data"],
            scores=tuple(map(Score.from_dict, values["scores"])),
            settings=values["settings"],
            examples=tuple(
                Example(entry["source"], entry["hypothesis"], tuple(entry["references"]))
                for entry in values["examples"]
            ),
            hypotheses=tuple(map(unescape_line, lines)),
        )


def escape_line(text: str) -> str:
    """Return `text` on one line: line breaks as `\\n` and `\\r`, a backslash as `\\\\`."""
    return re.sub(r"[\\\n\r]", lambda match: _ESCAPES[match[0]], text)


def unescape_line(line: str) -> str:
    """Return the text that `escape_line` put on one line."""
    return re.sub(r"\\[\\nr]", lambda match: _UNESCAPES[match[0]], line)


def _row(score: Score) -> tuple[str, str, str, str]:
    label = score.label if score.higher_is_better else f"{score.label} (lower is better)"
    interval = ""
    if score.interval is not None:
        low, high, level = score.interval.low, score.interval.high, score.interval.level
        interval = f"[{low:.2f}, {high:.2f}] at {100 * level:g} %"
    return label, f"{score.value:.2f}", interval, score.signature


def _cell(text: str) -> str:
    """Return `text` for a Markdown table: no column bars, no line breaks."""
    return " ".join(text.split()).replace("|", "\\|")
