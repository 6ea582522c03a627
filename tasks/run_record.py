"""What a run is of: its settings and what it learns from, in `run.json`; it goes on as no other."""

import hashlib
import json
import pathlib
import shutil
from collections.abc import Iterable, Mapping
from typing import Any

from tflm.training.files import write_atomically

RECORD_FILE = "run.json"
TRAIN_DATA = "train_data"

# More of them continue a run; anything else that differs makes it another one.
_MAY_CHANGE = frozenset({"epochs", "patience"})


def fingerprint(examples: Iterable[Any]) -> dict[str, Any]:
    """What tells data from other data.

    Args:
        examples: read once, to their end.

    Returns:
        `examples`, how many there are, and `sha256` of all of them in their order.
    """
    digest, count = hashlib.sha256(), 0
    for example in examples:
        digest.update(repr(example).encode() + b"\n")
        count += 1
    return {"examples": count, "sha256": digest.hexdigest()}


def dtype_begun_with(directory: pathlib.Path) -> str | None:
    """The dtype of a run that has learned something, `None` where there is none."""
    path = directory / RECORD_FILE
    if not path.exists() or not _has_learned(directory):
        return None
    return _read(path).get("dtype", "float32")


def claim(directory: pathlib.Path, record: Mapping[str, Any], younger: Mapping[str, Any]) -> None:
    """Writes what a run is of, or checks that what the directory holds is the same.

    A run that ended before it had learned anything, from a setting that did not suit the data say,
    binds nobody; its vocabulary is removed, for it is not the new one's.

    Args:
        directory: the run's.
        record: the settings by name, and the `fingerprint` of the training data as `TRAIN_DATA`.
        younger: what entries mean that a record has not, since it was written before there were
            such.

    Raises:
        ValueError: the directory holds a run of something else.
    """
    path = directory / RECORD_FILE
    if path.exists():
        found = {**younger, **_read(path)}
        names = {name for name in {*record, *found} if record.get(name) != found.get(name)}
        if names := names - _MAY_CHANGE:
            if _has_learned(directory):
                raise ValueError(
                    "`out` must be a new directory or the same run. Received: "
                    + ", ".join(_difference(name, found, record) for name in sorted(names))
                )
            shutil.rmtree(directory / "tokenizer", ignore_errors=True)
    write_json(path, record)


def write_json(path: pathlib.Path, value: Any) -> None:
    """Writes JSON, whole or not at all."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    write_atomically(
        path, lambda temporary: pathlib.Path(temporary).write_text(text, encoding="utf-8")
    )


def _has_learned(directory: pathlib.Path) -> bool:
    return (directory / "checkpoint").exists()


def _difference(name: str, found: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    if name == TRAIN_DATA:
        there, now = (each[name]["examples"] for each in (found, record))
        return f"other training data, of {there} examples there, {now} now"
    there, now = found.get(name), record.get(name)
    return f"{name}: {there!r} there, {now!r} now"


def _read(path: pathlib.Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))
