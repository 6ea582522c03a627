"""Training runs by task and by recipe: what `tflm train` looks its arguments up in.

A run is a subclass of `TrainingRun` in a file of this folder whose name ends in `_run`; adding the
file is all it takes.
"""

import dataclasses
import importlib
import pathlib
import pkgutil
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

import tflm.tasks
from tflm.data import BadLineReport
from tflm.data.hugging_face import has_splits
from tflm.eval.catalog import task_names
from tflm.tasks.base import subclasses
from tflm.tasks.sources import dataset_splits
from tflm.tasks.training_run import TrainingRun


def run_classes() -> dict[str, type[TrainingRun]]:
    """Every kind of run by its task's name."""
    for module in pkgutil.iter_modules(tflm.tasks.__path__):
        if module.name.endswith("_run"):
            importlib.import_module(f"tflm.tasks.{module.name}")
    return {cls.TASK: cls for cls in subclasses(TrainingRun) if cls.TASK}


def find_run(task: str, recipe: str = "") -> tuple[type[TrainingRun], Any]:
    """The kind of run that a task or a recipe asks for, and the recipe, `None` without one.

    Args:
        task: a task's name; empty where the recipe says it.
        recipe: a recipe's name; empty for none.

    Raises:
        ValueError: there is no such task or recipe (the message lists the known ones), the recipe
            is another task's, or neither is named.
    """
    classes = run_classes()
    if task and task not in classes:
        raise ValueError(f"`task` must be one of {sorted(classes)}. Received: task={task!r}")
    if not recipe:
        if not task:
            raise ValueError(
                f"`task` must be one of {sorted(classes)}, or a recipe must be named. "
                "Received: neither"
            )
        return classes[task], None
    owners = {name: cls for cls in classes.values() for name in cls.RECIPES}
    if recipe not in owners:
        raise ValueError(f"`recipe` must be one of {sorted(owners)}. Received: recipe={recipe!r}")
    owner = owners[recipe]
    if task and owner.TASK != task:
        raise ValueError(
            f"`task` must be the recipe's, {owner.TASK}, or be left out. "
            f"Received: task={task!r}, recipe={recipe!r}"
        )
    return owner, owner.RECIPES[recipe]


def scored_by(task: str) -> type[TrainingRun]:
    """The kind of run whose data a task is scored on.

    Args:
        task: its name in the catalog of metrics.

    Raises:
        ValueError: the catalog has no such task.
    """
    classes = run_classes()
    owners = {name: cls for cls in classes.values() for name in cls.SCORED_AS} | classes
    known = [name for name in task_names() if name in owners]
    if task not in known:
        raise ValueError(f"`task` must be one of {', '.join(known)}. Received: task={task!r}")
    return owners[task]


def open_run(
    directory: pathlib.Path,
    out: pathlib.Path,
    task: str = "",
    *,
    recipe: str = "",
    changes: Mapping[str, Any] | None = None,
    on_bad: str = "raise",
    report: BadLineReport | None = None,
    console: Console,
    clean: Sequence[str] = (),
) -> TrainingRun:
    """A run on the data in a directory.

    Args:
        directory: a recipe's data set, a directory of splits as the task reads them, or a data set
            that `tflm.data.hugging_face.open_splits` opens.
        out: the run's directory.
        task: its name; by default the recipe's.
        recipe: a recipe's name; by default none, and the task's default settings.
        changes: settings to change, by name.
        on_bad: "raise" at a malformed line, or "skip" it.
        report: counts what is skipped.
        console: where progress goes.
        clean: steps of `tflm.data.cleaning` by name, for what is learned from.

    Raises:
        ValueError: a name is unknown or does not suit the others, or the data holds nothing.
        FileNotFoundError: a file is missing.
        ImportError: the package datasets, which the data needs, is not installed.
        OSError: the Hugging Face Hub cannot be reached.
    """
    cls, found = find_run(task, recipe)
    settings = cls.Settings() if found is None else found.settings
    settings = dataclasses.replace(settings, **_checked(cls, recipe, changes or {}))
    report = report or BadLineReport()
    if found is not None:
        data = cls.recipe_data(found, directory, on_bad, report)
    elif has_splits(directory):
        data = {
            split: cls.open_dataset(rows, vars(settings))
            for split, rows in dataset_splits(directory).items()
        }
    else:
        data = cls.directory_data(directory, settings, on_bad, report)
    return cls(out, data, settings, console, clean)


def _checked(cls: type[TrainingRun], recipe: str, changes: Mapping[str, Any]) -> Mapping[str, Any]:
    names = sorted(field.name for field in dataclasses.fields(cls.Settings))
    for name, value in changes.items():
        if name not in names:
            raise ValueError(
                f"`{name}` is no setting of the task {cls.TASK}, which has {', '.join(names)}. "
                f"Received: {name}={value!r}"
            )
    if recipe and "languages" in changes:
        raise ValueError(
            "`languages` must be left to the recipe. "
            f"Received: {changes['languages']!r}, recipe={recipe!r}"
        )
    return changes


def parse_setting(cls: type[TrainingRun], text: str) -> tuple[str, Any]:
    """ "dropout=0.3" -> ("dropout", 0.3), typed as the setting is.

    Raises:
        ValueError: no such setting, or a value of another type.
    """
    name, _, value = text.partition("=")
    fields = {field.name: field.type for field in dataclasses.fields(cls.Settings)}
    if name not in fields:
        raise ValueError(f"`set` must name one of {sorted(fields)}. Received: {text!r}")
    kind: Any = fields[name]
    try:
        if kind is bool:
            return name, {"true": True, "false": False}[value.lower()]
        return name, kind(value)
    except (KeyError, ValueError):
        raise ValueError(
            f"`set` must give {name} a value of type {kind.__name__}. Received: {text!r}"
        ) from None
