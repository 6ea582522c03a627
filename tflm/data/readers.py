"""Text files to rows of strings: parallel files, TSV and JSON lines, plain or gzipped.

    for source, target in ParallelFiles("train.en.gz", "train.de.gz"):
        ...

A source reads its files anew each time it is iterated over and holds one line at a time. Files are
UTF-8, with or without a byte order mark; lines end at LF or CR LF and nowhere else, because real
text holds the other Unicode line breaks. A line that does not fit raises `BadLine`, or is skipped
and counted with `on_bad="skip"`.
"""

import collections
import gzip
import itertools
import json
import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

Row = tuple[str, ...]
PathLike = str | os.PathLike[str]

ON_BAD = ("raise", "skip")

_BOM = b"\xef\xbb\xbf"


def check_on_bad(on_bad: str) -> None:
    """Refuses what is no way to deal with a bad line.

    Raises:
        ValueError: It is none of `ON_BAD`.
    """
    if on_bad not in ON_BAD:
        raise ValueError(f"`on_bad` must be one of {', '.join(ON_BAD)}. Received: {on_bad!r}")


class BadLine(ValueError):
    """A line that does not fit.

    Attributes:
        path: The file.
        line_number: Counted from 1.
        reason: What was expected, the same words for every line with the same fault.
        received: What was found instead, shortened.
    """

    UNIT: ClassVar[str] = "line"  # what `line_number` counts

    def __init__(self, path: str, line_number: int, reason: str, received: str = ""):
        received = received if len(received) <= 80 else received[:77] + "..."
        super().__init__(
            f"{path}, {self.UNIT} {line_number}: {reason}"
            + (f" Received: {received}" if received else "")
        )
        self.path = path
        self.line_number = line_number
        self.reason = reason
        self.received = received


class BadLineReport:
    """What `on_bad="skip"` skipped, in the latest pass over each file.

    Args:
        num_examples: How many skipped lines to remember per file.

    Attributes:
        counts: Skipped lines per `(path, reason)`.
        examples: The first skipped lines, as `BadLine`s.
    """

    def __init__(self, num_examples: int = 5):
        self.num_examples = num_examples
        self.counts: collections.Counter[tuple[str, str]] = collections.Counter()
        self.examples: list[BadLine] = []

    @property
    def total(self) -> int:
        """Number of skipped lines."""
        return self.counts.total()

    def begin(self, path: str) -> None:
        """Forget `path`: a new pass over it starts."""
        for key in [key for key in self.counts if key[0] == path]:
            del self.counts[key]
        self.examples = [bad for bad in self.examples if bad.path != path]

    def add(self, bad: BadLine) -> None:
        """Count one skipped line."""
        self.counts[bad.path, bad.reason] += 1
        if sum(example.path == bad.path for example in self.examples) < self.num_examples:
            self.examples.append(bad)

    def summary(self) -> str:
        """The counts per file and reason, then the remembered lines."""
        if not self.counts:
            return "No line was skipped."
        lines = [f"Skipped {self.total} lines."]
        lines += [f"  {path}: {n} x {reason}" for (path, reason), n in self.counts.most_common()]
        return "\n".join([*lines, "For example:", *(f"  {bad}" for bad in self.examples)])


class _Source:
    """Rows from files, read anew by each iteration; subclasses write `_rows`."""

    def __init__(self, paths: Sequence[PathLike], on_bad: str, report: BadLineReport | None):
        check_on_bad(on_bad)
        self.paths = [Path(path) for path in paths]
        self.on_bad = on_bad
        self.report = BadLineReport() if report is None else report

    def __iter__(self) -> Iterator[Row]:
        for path in self.paths:
            self.report.begin(str(path))
        for row in self._rows():
            if not isinstance(row, BadLine):
                yield row
            elif self.on_bad == "raise":
                raise row
            else:
                self.report.add(row)

    def _rows(self) -> Iterator[Row | BadLine]:
        raise NotImplementedError


class ParallelFiles(_Source):
    """Pairs from two files: line i of `source` with line i of `target`.

    Args:
        source: File of source lines; gzipped if its name ends in `.gz`, as for every file here.
        target: File of target lines.
        on_bad: "raise" or "skip".
        report: Counts what is skipped; by default a new one, `source.report`.

    Raises:
        BadLine: From iteration: a line is blank or not UTF-8, or one file ends before the other.
    """

    def __init__(
        self,
        source: PathLike,
        target: PathLike,
        *,
        on_bad: str = "raise",
        report: BadLineReport | None = None,
    ):
        super().__init__([source, target], on_bad, report)

    def _rows(self) -> Iterator[Row | BadLine]:
        source, target = self.paths
        lines = itertools.zip_longest(_lines(source), _lines(target))
        for number, pair in enumerate(lines, start=1):
            for path, other, line in zip((source, target), (target, source), pair, strict=True):
                if line is None:
                    yield BadLine(str(path), number, f"expected as many lines as in {other}.")
                    break
            else:
                yield _first_bad(
                    _text(line, path, number) for line, path in zip(pair, self.paths, strict=True)
                )


class TsvFile(_Source):
    r"""Rows from the columns of a tab-separated file; `"` and `\` mean nothing special.

    Args:
        path: The file. It has no header, and as many columns in every line as in its first one.
        columns: Which columns make a row, counted from 0.
        on_bad: "raise" or "skip".
        report: Counts what is skipped; by default a new one, `source.report`.

    Raises:
        BadLine: From iteration: another number of columns, a blank column, or not UTF-8.
    """

    def __init__(
        self,
        path: PathLike,
        columns: Sequence[int] = (0, 1),
        *,
        on_bad: str = "raise",
        report: BadLineReport | None = None,
    ):
        super().__init__([path], on_bad, report)
        if not columns or min(columns) < 0:
            raise ValueError(f"`columns` must be indices from 0. Received: {columns}")
        self.columns = tuple(columns)

    def _rows(self) -> Iterator[Row | BadLine]:
        path = self.paths[0]
        needed = max(self.columns) + 1
        width = None  # of the first line that is wide enough
        for number, line in enumerate(_lines(path), start=1):
            cells = line.split(b"\t")
            if width is None and len(cells) >= needed:
                width = len(cells)
            if len(cells) != width:
                expected = f"{width}" if width else f"at least {needed}"
                yield BadLine(
                    str(path), number, f"expected {expected} columns.", f"{len(cells)} columns"
                )
            else:
                yield _first_bad(_text(cells[column], path, number) for column in self.columns)


class JsonLines(_Source):
    """Rows from the fields of a file with one JSON object per line.

    Args:
        path: The file.
        fields: Which fields make a row; their values must be strings.
        on_bad: "raise" or "skip".
        report: Counts what is skipped; by default a new one, `source.report`.

    Raises:
        BadLine: From iteration: not a JSON object, or a field is absent, blank or not a string.
    """

    def __init__(
        self,
        path: PathLike,
        fields: Sequence[str] = ("source", "target"),
        *,
        on_bad: str = "raise",
        report: BadLineReport | None = None,
    ):
        super().__init__([path], on_bad, report)
        if isinstance(fields, str) or not fields:
            raise ValueError(f"`fields` must be a list of field names. Received: {fields!r}")
        self.fields = tuple(fields)

    def _rows(self) -> Iterator[Row | BadLine]:
        path = self.paths[0]
        for number, line in enumerate(_lines(path), start=1):
            text = _text(line, path, number)
            yield text if isinstance(text, BadLine) else self._row(text, number)

    def _row(self, line: str, number: int) -> Row | BadLine:
        path = self.paths[0]
        record = json_object(line, path, number)
        if isinstance(record, BadLine):
            return record
        for field in self.fields:
            if not isinstance(record.get(field), str):
                reason = f"expected a string in field {field!r}."
                received = repr(record[field]) if field in record else "no such field"
                return BadLine(str(path), number, reason, received)
        # JSON escapes can spell half a surrogate pair, which no UTF-8 text holds.
        return _first_bad(
            _text(record[field].encode("utf-8", "surrogatepass"), path, number)
            for field in self.fields
        )


def _first_bad(texts: Iterator[str | BadLine]) -> Row | BadLine:
    row = []
    for text in texts:
        if isinstance(text, BadLine):
            return text
        row.append(text)
    return tuple(row)


def _text(line: bytes, path: Path, number: int) -> str | BadLine:
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return BadLine(str(path), number, "expected UTF-8 text.", repr(line))
    if not text or text.isspace():
        return BadLine(str(path), number, "expected text, found a blank.")
    return text


def _lines(path: Path) -> Iterator[bytes]:
    # Binary files are split at LF only.
    number = 0
    with gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb") as file:
        try:
            for number, line in enumerate(file, start=1):
                line = line.removeprefix(_BOM) if number == 1 else line
                yield line.removesuffix(b"\n").removesuffix(b"\r")
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise BadLine(str(path), number + 1, "expected a whole gzip file.") from error


def json_object(line: str, path: Path, number: int) -> dict[str, Any] | BadLine:
    """The object that a line of JSON lines holds, or what is wrong with it."""
    try:
        record = json.loads(line)
    except (json.JSONDecodeError, RecursionError):
        record = None
    if isinstance(record, dict):
        return record
    return BadLine(str(path), number, "expected a JSON object.", repr(line))
