"""Plain text files to documents, plain or gzipped.

    for (text,) in TextFiles("books/", documents="paragraph"):
        ...

Files are read anew at each iteration, a line at a time; memory holds one document.
"""

import gzip
import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from tflm.data.readers import BadLine

DOCUMENTS = ("line", "paragraph", "file", "none")

_BOM = b"\xef\xbb\xbf"
_ENDINGS = (".txt", ".txt.gz")
_PIECE = 1 << 16  # characters of a text that is not cut into documents, more or less


class TextFiles:
    r"""Documents from UTF-8 files: rows of one text each, as every reader of `tflm.data` yields.

    Args:
        paths: A file, gzipped if its name ends in `.gz`; a folder, for all `.txt` and `.txt.gz`
            files under it in the order of their names; or a list of such.
        documents: What a document is. "line": every line that is not blank, without its end.
            "paragraph": lines between blank ones, joined by "\n". "file": a file as it is. "none":
            the files are one text; what comes are pieces of some whole lines that joined give it.

    Raises:
        FileNotFoundError: There is no such file, or no text file in a folder.
        ValueError: `documents` is unknown.
        BadLine: From iteration: a line is not UTF-8, or a gzip file is not whole.
    """

    def __init__(
        self,
        paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
        documents: str = "line",
    ):
        if documents not in DOCUMENTS:
            raise ValueError(
                f"`documents` must be one of {', '.join(DOCUMENTS)}. Received: {documents!r}"
            )
        if isinstance(paths, str | os.PathLike):
            paths = [paths]
        self.paths = [file for path in paths for file in _files(Path(path))]
        self.documents = documents

    def __iter__(self) -> Iterator[tuple[str]]:
        for path in self.paths:
            for text in self._texts(path):
                yield (text,)

    def _texts(self, path: Path) -> Iterator[str]:
        if self.documents == "file":
            yield "".join(_lines(path))
        elif self.documents == "none":
            yield from _pieces(_lines(path))
        elif self.documents == "line":
            for line in _lines(path):
                if not line.isspace():
                    yield _without_end(line)
        else:
            yield from _paragraphs(_lines(path))


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        if not path.is_file():
            raise FileNotFoundError(f"`paths` must be files that exist. Received: {path}")
        return [path]
    found = sorted(file for file in path.rglob("*") if file.name.endswith(_ENDINGS))
    if not found:
        raise FileNotFoundError(
            f"`paths` must be files, or folders with files that end in {' or '.join(_ENDINGS)}. "
            f"Received: {path}"
        )
    return found


def _lines(path: Path) -> Iterator[str]:
    """The lines of a file with their ends."""
    number = 0
    with gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb") as file:
        try:
            for number, line in enumerate(file, start=1):
                yield (line.removeprefix(_BOM) if number == 1 else line).decode()
        except UnicodeDecodeError as error:
            raise BadLine(str(path), number, "expected UTF-8 text.", repr(error.object)) from error
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise BadLine(str(path), number + 1, "expected a whole gzip file.") from error


def _pieces(lines: Iterator[str]) -> Iterator[str]:
    waiting, size = [], 0
    for line in lines:
        waiting.append(line)
        size += len(line)
        if size >= _PIECE:
            yield "".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield "".join(waiting)


def _paragraphs(lines: Iterator[str]) -> Iterator[str]:
    waiting: list[str] = []
    for line in lines:
        if not line.isspace():
            waiting.append(_without_end(line))
        elif waiting:
            yield "\n".join(waiting)
            waiting = []
    if waiting:
        yield "\n".join(waiting)


def _without_end(line: str) -> str:
    return line.removesuffix("\n").removesuffix("\r")
