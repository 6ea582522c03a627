"""Plain text files of an evaluation: a line is an example, several reference files are several
references of each."""

import gzip
import os
import pathlib
import zlib
from collections.abc import Sequence

PathLike = str | os.PathLike[str]


def read_lines(path: PathLike) -> list[str]:
    """Return the lines of a UTF-8 file, gzipped if its name ends in `.gz`.

    Lines end at LF or CR LF and nowhere else, because real text holds the other Unicode line
    breaks. A blank line is an example like any other: a system that said nothing.

    Raises:
        FileNotFoundError: When there is no such file.
        ValueError: When it is not UTF-8, not a whole gzip file, or holds no line.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"`path` must be a file that exists. Received: {path}")
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = error.object[: error.start].count(b"\n") + 1
        raise ValueError(f"`path` must be UTF-8 text. Received: {path}, line {number}") from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"`path` must be a whole gzip file. Received: {path}") from error
    if not text:
        raise ValueError(f"`path` must hold at least one line. Received: {path}")
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]


def read_references(paths: Sequence[PathLike]) -> list[tuple[str, ...]]:
    """Return the references of each example: line i of every file.

    Raises:
        FileNotFoundError: When a file does not exist.
        ValueError: When no file is given, or one holds another number of lines than the first.
    """
    if not paths:
        raise ValueError("`references` must name at least one file. Received: none")
    columns = [read_lines(path) for path in paths]
    for path, column in zip(paths, columns, strict=True):
        if len(column) != len(columns[0]):
            raise ValueError(
                "`references` must be files of as many lines. "
                f"Received: {len(columns[0])} in {paths[0]}, {len(column)} in {path}"
            )
    return list(zip(*columns, strict=True))
