"""What a model says of itself: settings of its run and its task, its card, or its signature."""

import json
import os
import pathlib
import re
from collections.abc import Mapping
from typing import Any

from tflm.eval.catalog import task_names
from tflm.tasks.base import CONFIG_FILE, Task, subclasses
from tflm.tasks.input_rows import PAIR, QUESTION, in_order
from tflm.tasks.model_card import CARD_FILE
from tflm.tasks.predictor import saved_model_directory, task_directory
from tflm.tasks.run_cleaning import CLEANING_FILE
from tflm.tasks.served import is_address
from tflm.tasks.served_signature import ServedSignature, served_signature
from tflm.tasks.sources import language_pair


def model_settings(location: str | os.PathLike[str]) -> dict[str, Any]:
    """What is known of a model before it is asked anything.

    Args:
        location: a run, a saved task, a SavedModel, or an address as `tflm.tasks.served` takes
            them.

    Returns:
        `task`, as the catalog of metrics calls it, and settings by name: of a run and its task all
        of them; of a SavedModel those on its card, nothing where it has none; of an address
        `pairs` and `multi_label`, as the signature shows.

    Raises:
        FileNotFoundError: a path holds no model.
        ConnectionError: no server answers at an address.
        ValueError: an address has another form.
    """
    if is_address(location):
        return _of_signature(served_signature(str(location)))
    path = pathlib.Path(location)
    if not path.exists():
        raise FileNotFoundError(
            "`model` must be a run, a saved task, a SavedModel or a server's address. "
            f"Received: no directory {path}"
        )
    directory = saved_model_directory(path)
    if directory is None:
        saved = _read(task_directory(path) / CONFIG_FILE)
        settings = {**run_settings(path), **saved.get("settings", {})}
        return {**settings, "task": _task_called(saved["task"])}
    card = directory / "assets.extra" / CARD_FILE
    if not card.is_file():
        return {}
    found = _read(card)
    return {**found["training"], **found["model"], "task": _task_called(found["task"])}


def run_settings(path: pathlib.Path) -> dict[str, Any]:
    """What a run was started with, and under `cleaning` what that did; nothing for any other."""
    config, cleaning = path / "run.json", path / CLEANING_FILE
    settings = _read(config) if config.is_file() else {}
    return settings | ({"cleaning": _read(cleaning)} if cleaning.is_file() else {})


def answer_language(settings: Mapping[str, Any]) -> str:
    """Code of the language that a model answers in; "" where its settings do not say.

    Raises:
        ValueError: `languages` are not two codes.
    """
    if code := settings.get("target_language") or settings.get("language"):
        return code
    languages = settings.get("languages")
    return language_pair(languages)[1] if languages else ""


def task_name(cls: type) -> str:
    """The name under which the catalog of metrics has a class of tasks: its own, or a parent's.

    What the catalog does not have keeps its own.
    """
    names = [_snake_case(each.__name__) for each in cls.__mro__]
    return next((name for name in names if name in task_names()), names[0])


def _task_called(name: str) -> str:
    known = {child.__name__: child for child in subclasses(Task)}
    return task_name(known[name]) if name in known else _snake_case(name)


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()  # CausalLM -> causal_lm


def _of_signature(signature: ServedSignature) -> dict[str, Any]:
    fields, outputs = in_order(signature.inputs), signature.outputs
    task = "sentiment_analysis" if "label" in outputs else "translation"
    return {
        "task": "question_answering" if fields == QUESTION else task,
        "pairs": fields == PAIR,
        "multi_label": "labels" in outputs,
    }


def _read(path: pathlib.Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))
