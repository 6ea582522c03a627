"""Answers from whatever holds a model: a run, a saved task, a SavedModel, or a server."""

import json
import os
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401  registers the ops that SavedModels use

from tflm.tasks.base import CONFIG_FILE, Task
from tflm.tasks.served import is_address, open_served
from tflm.tasks.sources import language_pair

Predict = Callable[[list[str]], list[dict[str, Any]]]
_TEXTS_PER_CALL = 64


def task_directory(path: pathlib.Path) -> pathlib.Path:
    """The saved task in a run's directory, or the directory itself if it is one.

    Raises:
        FileNotFoundError: there is none.
    """
    for directory in (path, path / "model"):
        if (directory / CONFIG_FILE).is_file():
            return directory
    raise FileNotFoundError(
        f"`run` must be a directory of `tflm train`, finished, or a saved task. Received: {path}"
    )


def saved_model_directory(path: pathlib.Path) -> pathlib.Path | None:
    """The SavedModel at `path`, or the highest version in it; `None` where there is none."""
    if (path / "saved_model.pb").is_file():
        return path
    versions = [child for child in path.glob("*") if child.name.isdecimal()]
    versions = [child for child in versions if (child / "saved_model.pb").is_file()]
    return max(versions, key=lambda child: int(child.name), default=None)


def run_languages(location: str | os.PathLike[str]) -> tuple[str, str]:
    """The languages that a run was trained on.

    Raises:
        FileNotFoundError: there is nothing at that path.
        ValueError: it is not a run.
    """
    path = pathlib.Path(location)
    config = path / "run.json"
    if not is_address(location) and not path.exists():
        raise FileNotFoundError(
            f"`run` must be a run, a saved task or a SavedModel. Received: no directory {path}"
        )
    if not config.is_file():
        raise ValueError(
            "`languages` must be given for a model that is not a run's directory. "
            f"Received: {location}"
        )
    return language_pair(run_settings(path).get("languages", ""))


def run_settings(path: pathlib.Path) -> dict[str, Any]:
    """What a run was started with; nothing for what is not a run."""
    config = path / "run.json"
    return json.loads(config.read_text(encoding="utf-8")) if config.is_file() else {}


def open_predictor(location: str | os.PathLike[str]) -> Predict:
    """A function from texts to answers, the outputs of `serving_default` by name.

    Args:
        location: a path, or a server's address as `tflm.tasks.served` takes them.

    Raises:
        FileNotFoundError: a path holds no model.
        ValueError: an address has another form.
    """
    if is_address(location):
        return open_served(str(location))
    path = pathlib.Path(location)
    directory = saved_model_directory(path)
    if directory:
        return _from_saved_model(directory)
    return Task.from_pretrained(task_directory(path)).answers


def _from_saved_model(directory: pathlib.Path) -> Predict:
    loaded = tf.saved_model.load(str(directory))
    serve = loaded.signatures["serving_default"]

    def predict(texts: list[str]) -> list[dict[str, Any]]:
        answers: list[dict[str, Any]] = []
        for start in range(0, len(texts), _TEXTS_PER_CALL):
            found = serve(text=tf.constant(texts[start : start + _TEXTS_PER_CALL], tf.string))
            columns = {name: _plain(value) for name, value in found.items()}
            for row in zip(*columns.values(), strict=True):
                answers.append(dict(zip(columns, row, strict=True)))
        return answers

    predict.module = loaded  # its variables live as long as it does
    return predict


def _plain(value: tf.Tensor) -> list[Any]:
    """A tensor as Python values, a text of bytes as a string."""
    values = value.numpy()
    if value.dtype == tf.string:
        values = np.vectorize(lambda text: text.decode(errors="replace"), otypes=[object])(values)
    return values.tolist()
