"""Rows from named columns: TSV, CSV and JSON lines, plain or gzipped, and a folder for each label.

    for text, label in TableFile("reviews.csv", ("text", "label")):
        ...

As for every reader of `tflm.data`, what does not fit raises `BadLine` with its file and line, or is
skipped and counted with `on_bad="skip"`.
"""

import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tflm.data.readers import (
    BadLine,
    BadLineReport,
    PathLike,
    Row,
    _first_bad,
    _lines,
    _Source,
    _text,
    json_object,
)

_ENDINGS = {"csv": ",", "tsv": "\t", "txt": "\t"}
_JSON_ENDINGS = ("jsonl", "json")
_LONGEST_CELL = 2**31 - 1


class TableFile(_Source):
    r"""Rows from the named columns of a TSV or CSV file.

    In TSV every tab ends a cell, and `"` means nothing special. In CSV a cell in quotes may hold
    commas, line breaks (LF, whatever the file's are) and quotes, doubled (RFC 4180).

    Args:
        path: The file, whose name ends in `.csv`, `.tsv` or `.txt` (tabs), and perhaps `.gz`.
        columns: Names of the columns that make a row, in the row's order.
        header: Names of all the file's columns in their order, where it does not begin with them.
            By default the first line names them if it has all of `columns`; if it has none of them,
            it is a row, and the first columns are `columns`.
        on_bad: "raise" or "skip".
        report: Counts what is skipped; by default a new one, `source.report`.

    Raises:
        ValueError: `columns` are not names, `header` lacks one of them, or the file's name ends in
            something else.
        BadLine: From iteration: a line with too few or too many cells, a blank cell, not UTF-8,
            quotes that do not fit, or a first line that names some of the columns and not others.
    """

    def __init__(
        self,
        path: PathLike,
        columns: Sequence[str] = ("text", "label"),
        header: Sequence[str] | None = None,
        *,
        on_bad: str = "raise",
        report: BadLineReport | None = None,
    ):
        super().__init__([path], on_bad, report)
        self.columns = _names(columns)
        self.header = None if header is None else tuple(header)
        if self.header is not None and not set(self.columns) <= set(self.header):
            raise ValueError(
                f"`header` must have the columns {', '.join(self.columns)}. "
                f"Received: {', '.join(self.header)}"
            )
        self.delimiter = _ENDINGS.get(_ending(self.paths[0]), "")
        if not self.delimiter:
            raise ValueError(
                f"`path` must end in {', '.join(f'.{end}' for end in _ENDINGS)}, or in one of them "
                f"and .gz. Received: {path}"
            )

    def _rows(self) -> Iterator[Row | BadLine]:
        header = self.header
        for number, cells in self._cells():
            if isinstance(cells, BadLine):
                yield cells
                continue
            if header is None:
                header = self._header(cells, number)
                if isinstance(header, BadLine):
                    raise header  # nothing after it can be read
                if header == tuple(cells):
                    continue
            if len(cells) != len(header):
                reason = f"expected {len(header)} columns."
                yield BadLine(str(self.paths[0]), number, reason, f"{len(cells)} columns")
            else:
                row = dict(zip(header, cells, strict=True))
                yield _first_bad(
                    _text(row[column].encode(), self.paths[0], number) for column in self.columns
                )

    def _header(self, cells: list[str], number: int) -> tuple[str, ...] | BadLine:
        """The names of the columns, given the first line that could be read."""
        found = [column for column in self.columns if column in cells]
        if len(found) == len(self.columns):
            return tuple(cells)
        if found or len(cells) < len(self.columns):
            reason = f"expected the columns {', '.join(self.columns)}."
            return BadLine(str(self.paths[0]), number, reason, ", ".join(cells))
        return (*self.columns, *[""] * (len(cells) - len(self.columns)))

    def _cells(self) -> Iterator[tuple[int, list[str] | BadLine]]:
        """The cells of each line, and the number of the line at which they begin."""
        if self.delimiter == "\t":
            for number, line in enumerate(self._decoded(), start=1):
                yield number, line if isinstance(line, BadLine) else line.split("\t")
            return
        bad: list[BadLine] = []

        def lines() -> Iterator[str]:
            for line in self._decoded():
                if isinstance(line, BadLine):
                    bad.append(line)
                yield "\n" if isinstance(line, BadLine) else f"{line}\n"

        csv.field_size_limit(_LONGEST_CELL)  # of the process; its own is 131,072 characters
        reader = csv.reader(lines(), strict=True)
        while True:
            number = reader.line_num + 1
            try:
                cells: Any = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                cells = BadLine(str(self.paths[0]), number, f"expected CSV: {error}.")
            yield number, bad.pop() if bad else cells
            bad.clear()

    def _decoded(self) -> Iterator[str | BadLine]:
        """Lines without their ends."""
        for number, line in enumerate(_lines(self.paths[0]), start=1):
            try:
                yield line.decode()
            except UnicodeDecodeError:
                yield BadLine(str(self.paths[0]), number, "expected UTF-8 text.", repr(line))


class JsonTable(_Source):
    """Rows from named fields of a file with one JSON object per line.

    Args:
        path: The file.
        columns: Names of the fields that make a row, in the row's order. Values are strings,
            integers or booleans; the last one may be a list of them, a text's labels say, which
            makes the row as much longer.
        on_bad: "raise" or "skip".
        report: Counts what is skipped; by default a new one, `source.report`.

    Raises:
        ValueError: `columns` are not names.
        BadLine: From iteration: not a JSON object, or a field that is absent, blank or something
            else.
    """

    def __init__(
        self,
        path: PathLike,
        columns: Sequence[str] = ("text", "label"),
        *,
        on_bad: str = "raise",
        report: BadLineReport | None = None,
    ):
        super().__init__([path], on_bad, report)
        self.columns = _names(columns)

    def _rows(self) -> Iterator[Row | BadLine]:
        for number, line in enumerate(_lines(self.paths[0]), start=1):
            text = _text(line, self.paths[0], number)
            yield text if isinstance(text, BadLine) else self._row(text, number)

    def _row(self, line: str, number: int) -> Row | BadLine:
        path = self.paths[0]
        record = json_object(line, path, number)
        if isinstance(record, BadLine):
            return record
        values: list[str] = []
        for column in self.columns:
            value: Any = record.get(column)
            several = isinstance(value, list) and column == self.columns[-1]
            for part in value if several else [value]:
                if not isinstance(part, str | int):
                    reason = f"expected text in field {column!r}."
                    received = repr(record[column]) if column in record else "no such field"
                    return BadLine(str(path), number, reason, received)
                values.append(str(part))
        # JSON escapes can spell half a surrogate pair, which no UTF-8 text holds.
        return _first_bad(
            _text(value.encode("utf-8", "surrogatepass"), path, number) for value in values
        )


class LabelFolders(_Source):
    """Rows `(text, label)` from a folder of texts for each label: `pos/*.txt`, `neg/*.txt`.

    A text is a whole file, UTF-8. Labels and files come in the order of their names.

    Args:
        path: The folder that holds the folders.
        on_bad: "raise" or "skip".
        report: Counts what is skipped; by default a new one, `source.report`.

    Raises:
        FileNotFoundError: There is no folder with a `.txt` file in `path`.
        BadLine: From iteration: a file is not UTF-8, or blank.
    """

    def __init__(
        self, path: PathLike, *, on_bad: str = "raise", report: BadLineReport | None = None
    ):
        self.path = Path(path)
        folders = [folder for folder in sorted(self.path.glob("*")) if folder.is_dir()]
        files = [file for folder in folders for file in sorted(folder.glob("*.txt"))]
        if not files:
            raise FileNotFoundError(
                f"`path` must be a folder of folders with .txt files. Received: {path}"
            )
        super().__init__(files, on_bad, report)
        self.labels = tuple(dict.fromkeys(file.parent.name for file in files))

    def _rows(self) -> Iterator[Row | BadLine]:
        for file in self.paths:
            text = _text(file.read_bytes().removeprefix(b"\xef\xbb\xbf"), file, 1)
            yield text if isinstance(text, BadLine) else (text, file.parent.name)


def open_table(
    path: str | os.PathLike[str],
    columns: Sequence[str] = ("text", "label"),
    *,
    on_bad: str = "raise",
    report: BadLineReport | None = None,
) -> TableFile | JsonTable | LabelFolders:
    """The reader for a file of rows, by its name, or for a folder of folders.

    Args:
        path: Ends in `.tsv`, `.csv`, `.txt` (tabs) or `.jsonl`, perhaps with `.gz`; or is a folder.
        columns: Names of the columns that make a row; a folder has text and label.
        on_bad: "raise" or "skip".
        report: Counts what is skipped.

    Raises:
        FileNotFoundError: There is nothing at `path`.
        ValueError: Its name ends in something else.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"`path` must be a file or folder that exists. Received: {path}")
    if path.is_dir():
        return LabelFolders(path, on_bad=on_bad, report=report)
    if _ending(path) in _JSON_ENDINGS:
        return JsonTable(path, columns, on_bad=on_bad, report=report)
    return TableFile(path, columns, on_bad=on_bad, report=report)


def _ending(path: Path) -> str:
    return path.name.removesuffix(".gz").rpartition(".")[2]


def _names(columns: Sequence[str]) -> tuple[str, ...]:
    if isinstance(columns, str) or not columns:
        raise ValueError(f"`columns` must be a list of names. Received: {columns!r}")
    return tuple(columns)
