"""The rows of batch inference: what a line or a record holds, and which rows are asked together.

    text                      a text; every line is one
    question, context         {"question": "Who?", "context": "Ann ran."}, or Who?<tab>Ann ran.
    text, text_pair           the same

A row is a tuple of texts, one for each input of a model, as `tflm predict` reads them.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

TEXT = ("text",)
QUESTION = ("question", "context")
PAIR = ("text", "text_pair")
_ORDERS = (TEXT, QUESTION, PAIR)


class BadRow(ValueError):
    """What is no row.

    Attributes:
        reason: what was expected, the same words for every row with the same fault.
        received: what was found instead.
    """

    def __init__(self, reason: str, received: str):
        shown = received if len(received) <= 80 else received[:77] + "..."
        super().__init__(f"{reason} Received: {shown}")
        self.reason = reason
        self.received = received


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """The inputs of a signature, which has no order, as a user writes them in a row."""
    names = sorted(names)
    return next((known for known in _ORDERS if sorted(known) == names), tuple(names))


def row_of(example: str | Mapping[str, Any], fields: Sequence[str]) -> tuple[str, ...]:
    """The texts of an example.

    Args:
        example: a line, which is the text itself where there is one field, else a JSON object with
            the fields or their texts with tabs between; or the fields by name. Other fields beside
            them are not read.
        fields: names of the fields.

    Raises:
        BadRow: it is no such example.
    """
    found: Any = parsed(example, fields) if isinstance(example, str) else example
    if found is None:
        names = " and ".join(fields)
        raise BadRow(
            f"expected a JSON object with {names}, or their texts with a tab between.",
            repr(example),
        )
    if isinstance(found, tuple):
        return found
    for field in fields:
        if not isinstance(found.get(field), str):
            has = f"the fields {', '.join(map(str, found)) or 'none'}"
            received = repr(found[field]) if field in found else has
            raise BadRow(f"expected a string in field {field!r}.", received)
        # JSON escapes can spell half a surrogate pair, which no UTF-8 text holds.
        if any("\ud800" <= letter <= "\udfff" for letter in found[field]):
            raise BadRow("expected UTF-8 text.", repr(found[field]))
    return tuple(found[field] for field in fields)


def parsed(line: str, fields: Sequence[str]) -> tuple[str, ...] | dict[str, Any] | None:
    """The object or the columns that a line holds; `None` where it is neither."""
    if len(fields) == 1:
        return (line,)
    if line.lstrip().startswith("{"):
        try:
            return json.loads(line)
        except (json.JSONDecodeError, RecursionError):
            pass  # the brace is a question's
    cells = tuple(line.split("\t"))
    return cells if len(cells) == len(fields) else None


def length_of(row: Sequence[str]) -> int:
    """Bytes of a row's texts, which are nearer to its tokens in every script than letters are."""
    return sum(len(text.encode()) for text in row)


def calls(lengths: Sequence[int], max_rows: int, max_bytes: int) -> list[list[int]]:
    """Groups rows of like length, shortest first.

    Args:
        lengths: of each row, in bytes.
        max_rows: rows of a group, at most.
        max_bytes: rows of a group times its longest row, at most; a longer row is alone.

    Returns:
        Places of the rows in `lengths`, each in one group.
    """
    groups: list[list[int]] = []
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        rows = len(groups[-1]) + 1 if groups else 0
        # They come shortest first, so this one is the longest of its group.
        if 0 < rows <= max_rows and rows * lengths[place] <= max_bytes:
            groups[-1].append(place)
        else:
            groups.append([place])
    return groups
