"""Answers from whatever holds a model: a run, a saved task, a SavedModel, or a server."""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401  registers the ops that SavedModels use

from tflm.tasks.base import CONFIG_FILE, Task
from tflm.tasks.input_rows import TEXT, Row, by_field, in_order
from tflm.tasks.served import is_address, open_served
from tflm.tasks.served_signature import served_signature
from tflm.tasks.string_tensors import string_tensor

Answers = Callable[[list[Any]], list[dict[str, Any]]]
_ROWS_PER_CALL = 64


@dataclasses.dataclass(frozen=True)
class Predictor:
    """A model as a function from rows to answers, the outputs of `serving_default` by name.

    Args:
        answers: the function.
        fields: names of a row's texts; where there is one, a row is the text itself.
    """

    answers: Answers
    fields: tuple[str, ...] = TEXT

    def __call__(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """The answer to each row."""
        return self.answers(list(rows))


def task_directory(path: pathlib.Path, name: str = "run") -> pathlib.Path:
    """The saved task in a run's directory, or the directory itself if it is one.

    Args:
        path: the directory.
        name: of the argument it came from.

    Raises:
        FileNotFoundError: there is none.
    """
    for directory in (path, path / "model"):
        if (directory / CONFIG_FILE).is_file():
            return directory
    raise FileNotFoundError(
        f"`{name}` must be a directory of `tflm train`, finished, or a saved task. Received: {path}"
    )


def saved_model_directory(path: pathlib.Path) -> pathlib.Path | None:
    """The SavedModel at `path`, or the highest version in it; `None` where there is none."""
    if (path / "saved_model.pb").is_file():
        return path
    versions = [child for child in path.glob("*") if child.name.isdecimal()]
    versions = [child for child in versions if (child / "saved_model.pb").is_file()]
    return max(versions, key=lambda child: int(child.name), default=None)


def open_predictor(location: str | os.PathLike[str]) -> Predictor:
    """The model at a location.

    Args:
        location: a path, or a server's address as `tflm.tasks.served` takes them.

    Raises:
        FileNotFoundError: a path holds no model.
        ValueError: an address has another form, or a SavedModel takes other things than strings.
        ConnectionError: no server answers at an address.
    """
    if is_address(location):
        address = str(location)
        fields = in_order(served_signature(address).inputs)
        return Predictor(open_served(address, fields=fields), fields)
    path = pathlib.Path(location)
    directory = saved_model_directory(path)
    if directory:
        return _from_saved_model(directory)
    task = Task.from_pretrained(task_directory(path))
    return Predictor(task.answers, task.fields)


def _from_saved_model(directory: pathlib.Path) -> Predictor:
    loaded = tf.saved_model.load(str(directory))
    if "serving_default" not in loaded.signatures:
        known = ", ".join(sorted(loaded.signatures)) or "none"
        raise ValueError(
            "`model` must have the signature serving_default. "
            f"Received: {directory}, whose signatures are {known}"
        )
    inputs = loaded.signatures["serving_default"].structured_input_signature[1]
    if any(spec.dtype != tf.string for spec in inputs.values()):
        given = ", ".join(f"{name} ({spec.dtype.name})" for name, spec in sorted(inputs.items()))
        raise ValueError(f"`model` must take strings. Received: {directory}, which takes {given}")
    fields = in_order(inputs)

    def answers(rows: list[Row]) -> list[dict[str, Any]]:
        serve = loaded.signatures["serving_default"]  # whose variables live as long as `loaded`
        found: list[dict[str, Any]] = []
        for start in range(0, len(rows), _ROWS_PER_CALL):
            columns = by_field(rows[start : start + _ROWS_PER_CALL], fields)
            outputs = serve(**{name: string_tensor(name, texts) for name, texts in columns.items()})
            count = len(rows[start : start + _ROWS_PER_CALL])
            values = {name: _plain(value) for name, value in outputs.items()}
            # An output without a batch dimension belongs to no row.
            values = {
                name: column
                for name, column in values.items()
                if isinstance(column, list) and len(column) == count
            }
            found += [
                dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)
            ]
        return found

    return Predictor(answers, fields)


def _plain(value: tf.Tensor) -> Any:
    """A tensor as Python values, a text of bytes as a string."""
    values = value.numpy()
    if value.dtype == tf.string:
        values = np.vectorize(lambda text: text.decode(errors="replace"), otypes=[object])(values)
    return values.tolist()
