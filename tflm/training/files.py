"""Files that are whole or absent: written beside their place, flushed to disk, then renamed."""

import os
import pathlib
import tempfile
from collections.abc import Callable

import numpy as np
import safetensors
import safetensors.numpy

_UNFINISHED = ".unfinished"


def write_atomically(path: str | os.PathLike, write: Callable[[str], object]) -> None:
    """Calls `write(temporary_path)`, flushes that file to disk and renames it to `path`.

    Whatever stood at `path` stays until the new file is complete; an interruption at any moment
    leaves either the old file or the new one.

    Args:
        path: the final name.
        write: writes the whole file at the path it is given.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(_UNFINISHED, f".{path.name}.", path.parent)
    os.close(handle)
    try:
        write(temporary)
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        pathlib.Path(temporary).unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def remove_unfinished(directory: str | os.PathLike) -> None:
    """Removes what `write_atomically` left in a directory when its process was killed.

    Args:
        directory: one in which nothing is being written, or none at all.
    """
    for path in pathlib.Path(directory).glob(f".*{_UNFINISHED}"):
        path.unlink()


def save_tensors(
    path: str | os.PathLike, tensors: dict[str, np.ndarray], metadata: dict[str, str] | None = None
) -> None:
    """Writes named arrays and text metadata as one safetensors file, whole or not at all.

    A scalar is written, and read again, as an array of one element.

    Raises:
        OSError: the disk is full, say.
    """
    arrays = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    try:
        write_atomically(
            path, lambda temporary: safetensors.numpy.save_file(arrays, temporary, metadata or {})
        )
    except safetensors.SafetensorError as error:
        raise OSError(f"{os.fspath(path)} could not be written: {error}") from error


def load_tensors(path: str | os.PathLike) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Named arrays and metadata of a file that `save_tensors` wrote.

    Raises:
        FileNotFoundError: there is no such file.
    """
    with safetensors.safe_open(os.fspath(path), framework="numpy") as stored:
        return {name: stored.get_tensor(name) for name in stored.keys()}, stored.metadata() or {}
