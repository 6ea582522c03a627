"""`tflm predict`."""

import json
import sys
from typing import Annotated, Any

import typer


def predict(
    model: Annotated[
        str,
        typer.Argument(
            help="A run, a saved task, a SavedModel, http://host:8501/v1/models/NAME or "
            "grpc://host:8500/NAME."
        ),
    ],
    texts: Annotated[
        list[str] | None,
        typer.Argument(
            help="Texts; lines of standard input by default. A model of two, question and context "
            "or text and text_pair, takes them in turn, or a JSON object with both, or both with "
            "a tab between; of standard input one of the latter a line."
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="A JSON object a line: all outputs, text, score, ... say."),
    ] = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Skip, count and report malformed lines.")
    ] = False,
) -> None:
    """Answers each text, or two that belong together, with a line."""
    from tflm.data import BadLineReport
    from tflm.tasks.answering import answer_text
    from tflm.tasks.input_rows import rows_of_arguments, rows_of_lines
    from tflm.tasks.predictor import open_predictor

    answer, report = open_predictor(model), BadLineReport()
    if texts:
        rows: Any = rows_of_arguments(texts, answer.fields)
    else:
        # Windows programs begin a text with a mark of its byte order.
        lines = (
            line.decode("utf-8" if number else "utf-8-sig", errors="replace").rstrip("\r\n")
            for number, line in enumerate(sys.stdin.buffer)
        )
        on_bad = "skip" if skip_bad else "raise"
        rows = rows_of_lines(lines, answer.fields, "standard input", on_bad=on_bad, report=report)
    for chunk in chunks(rows, 256):
        for found in answer(chunk):
            text = (
                json.dumps(found, ensure_ascii=False) if as_json else one_line(answer_text(found))
            )
            typer.echo(text)
    if report.total:
        typer.echo(report.summary(), err=True)


def chunks(lines: Any, size: int) -> Any:
    """Lists of at most `size` lines, as they come; before an error, the lines that came."""
    chunk: list[Any] = []
    failure = None
    try:
        for line in lines:
            chunk.append(line)
            if len(chunk) == size:
                yield chunk
                chunk = []
    except ValueError as error:
        failure = error
    if chunk:
        yield chunk
    if failure is not None:
        raise failure


def one_line(text: str) -> str:
    """A text without line breaks: line `i` of the output answers line `i` of the input."""
    return " ".join(text.splitlines())
