"""The rows that a model answers: their fields by name, from arguments, lines and batches.

    text                      a text; every line is one
    question, context         {"question": "Who?", "context": "Ann ran."}, or Who?<tab>Ann ran.
    text, text_pair           the same

A row of one field is a string, of several a tuple.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tflm.data import BadLine, BadLineReport

Row = str | tuple[str, ...]

TEXT = ("text",)
QUESTION = ("question", "context")
PAIR = ("text", "text_pair")
_ORDERS = (TEXT, QUESTION, PAIR)


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """The inputs of a signature, which has no order, as a user writes them in a row."""
    names = sorted(names)
    return next((known for known in _ORDERS if sorted(known) == names), tuple(names))


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
    if all(_parsed(argument, fields) is not None for argument in arguments):
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
    found = _parsed(line, fields)
    if found is None:
        names = " and ".join(fields)
        reason = f"expected a JSON object with {names}, or their texts with a tab between."
        return BadLine(name, number, reason, repr(line))
    if isinstance(found, tuple):
        return found
    for field in fields:
        if not isinstance(found.get(field), str):
            reason = f"expected a string in field {field!r}."
            has = ", ".join(found) or "none"
            received = repr(found[field]) if field in found else f"the fields {has}"
            return BadLine(name, number, reason, received)
        # JSON escapes can spell half a surrogate pair, which no UTF-8 text holds.
        if any("\ud800" <= letter <= "\udfff" for letter in found[field]):
            return BadLine(name, number, "expected UTF-8 text.", repr(found[field]))
    return tuple(found[field] for field in fields)


def _parsed(line: str, fields: Sequence[str]) -> tuple[str, ...] | dict[str, Any] | None:
    """The object or the columns that a line holds; `None` where it is neither."""
    if line.lstrip().startswith("{"):
        try:
            return json.loads(line)
        except (json.JSONDecodeError, RecursionError):
            pass  # the brace is a question's
    cells = tuple(line.split("\t"))
    return cells if len(cells) == len(fields) else None
