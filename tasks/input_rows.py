"""The rows that a model answers: their fields by name, from arguments, lines and batches.

    text                      a text; every line is one
    question, context         {"question": "Who?", "context": "Ann ran."}, or Who?<tab>Ann ran.
    text, text_pair           the same

A row of one field is a string, of several a tuple.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tflm.data import BadLine, BadLineReport
from tflm.export.batch_rows import PAIR, QUESTION, TEXT, BadRow, in_order, parsed, row_of

__all__ = [
    "PAIR",
    "QUESTION",
    "TEXT",
    "Row",
    "by_field",
    "in_order",
    "rows_of_arguments",
    "rows_of_lines",
]

Row = str | tuple[str, ...]


def by_field(rows: Sequence[Row], fields: Sequence[str]) -> dict[str, list[str]]:
    """Rows as one list for each field."""
    columns: Any = [rows] if len(fields) == 1 else zip(*rows, strict=True)
    return dict(zip(fields, map(list, columns), strict=True))


def rows_of_arguments(arguments: Sequence[str], fields: Sequence[str]) -> list[Row]:
    """The rows that the command was given: one an argument, or a field an argument, in turn.

    Raises:
        ValueError: they are neither.
    """
    if len(fields) == 1:
        return list(arguments)
    if all(parsed(argument, fields) is not None for argument in arguments):
        return list(rows_of_lines(arguments, fields, "arguments"))
    count = len(fields)
    if len(arguments) % count:
        raise ValueError(
            f"`texts` must be {' and '.join(fields)} in turn, or each a JSON object with them, or "
            f"each their texts with a tab between. Received: {len(arguments)} texts"
        )
    return [tuple(arguments[start : start + count]) for start in range(0, len(arguments), count)]


def rows_of_lines(
    lines: Iterable[str],
    fields: Sequence[str],
    name: str,
    *,
    on_bad: str = "raise",
    report: BadLineReport | None = None,
) -> Iterator[Row]:
    """The rows of lines, one a line.

    Args:
        lines: a text each where there is one field; else a JSON object with the fields, which may
            have others beside them, or the fields' texts with tabs between.
        fields: names of the fields.
        name: what the lines are, for errors.
        on_bad: "raise" at a line that is no row, or "skip" it.
        report: counts what is skipped.

    Raises:
        BadLine: a line is no row.
    """
    report = report or BadLineReport()
    report.begin(name)
    for number, line in enumerate(lines, start=1):
        row = line if len(fields) == 1 else _row(line, fields, name, number)
        if not isinstance(row, BadLine):
            yield row
        elif on_bad == "raise":
            raise row
        else:
            report.add(row)


def _row(line: str, fields: Sequence[str], name: str, number: int) -> Row | BadLine:
    try:
        return row_of(line, fields)
    except BadRow as bad:
        return BadLine(name, number, bad.reason, bad.received)
