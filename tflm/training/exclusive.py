"""One process at a time trains in a directory."""

import contextlib
import fcntl
import os
from collections.abc import Iterator


@contextlib.contextmanager
def exclusive(directory: str | os.PathLike[str]) -> Iterator[None]:
    """Holds a directory for the time of a `with` block; nothing is written for it.

    The system lets go of it where the process ends, whatever ends it.

    Args:
        directory: an existing one.

    Raises:
        ValueError: it is held already, by this process or by another one.
    """
    handle = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                "`out` must be a directory in which nothing else is training. "
                f"Received: {os.fspath(directory)}, where something is"
            ) from None
        yield
    finally:
        os.close(handle)
