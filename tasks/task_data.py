"""Where a task's examples are, in a recipe's data set and in a directory of the user's."""

import pathlib
from collections.abc import Mapping
from typing import Any

from tflm.data import BadLineReport
from tflm.tasks.scored_data import ScoredData
from tflm.tasks.sources import SPLITS


class TaskData:
    """Finds and reads the examples that a task learns from and is scored on."""

    @classmethod
    def recipe_data(
        cls, recipe: Any, directory: pathlib.Path, on_bad: str, report: BadLineReport
    ) -> dict[str, Any]:
        """The splits of a recipe's data set.

        Args:
            recipe: one of `RECIPES`.
            directory: the data set's.
            on_bad: "raise" at a malformed line, or "skip" it.
            report: counts what is skipped.

        Raises:
            FileNotFoundError: a file of the recipe is missing.
        """
        raise NotImplementedError

    @classmethod
    def find_split(cls, directory: pathlib.Path, split: str) -> pathlib.Path | None:
        """The file or folder of a split in a directory of the user's, `None` where it has none."""
        raise NotImplementedError

    @classmethod
    def split_files(cls, split: str) -> str:
        """What `find_split` looks for, in words."""
        raise NotImplementedError

    @classmethod
    def open_file(
        cls, path: pathlib.Path, settings: Mapping[str, Any], on_bad: str, report: BadLineReport
    ) -> Any:
        """The raw examples of a file, or of a folder that is a split; see `open_split`."""
        raise NotImplementedError

    @classmethod
    def directory_data(
        cls, directory: pathlib.Path, settings: Any, on_bad: str, report: BadLineReport
    ) -> dict[str, Any]:
        """The splits in a directory of the user's; the arguments are those of `recipe_data`.

        "valid" and "test" are optional.

        Raises:
            FileNotFoundError: there is no split called "train".
        """
        found = {split: cls.find_split(directory, split) for split in SPLITS}
        if found["train"] is None:
            raise cls._no_split(directory, "train")
        return {
            split: cls.open_file(path, vars(settings), on_bad, report)
            for split, path in found.items()
            if path is not None
        }

    @classmethod
    def open_split(
        cls,
        path: pathlib.Path,
        split: str,
        settings: Mapping[str, Any],
        on_bad: str,
        report: BadLineReport,
    ) -> Any:
        """Raw examples to score a model on: of a file, or of one split of a directory.

        Args:
            path: a file as a split is, or a directory of splits, as `directory_data` reads them.
            split: of a directory; "" where `path` is what it holds.
            settings: what is known of the model, see `tflm.tasks.evaluation.scoring_settings`.
            on_bad: "raise" at a malformed line, or "skip" it.
            report: counts what is skipped.

        Raises:
            FileNotFoundError: there is no such split.
        """
        found = cls.find_split(path, split) if split and path.is_dir() else path
        if found is None:
            raise cls._no_split(path, split)
        return cls.open_file(found, settings, on_bad, report)

    @classmethod
    def open_dataset(cls, dataset: Any, settings: Mapping[str, Any]) -> Any:
        """The raw examples of a split that is a `datasets.Dataset`.

        Args:
            dataset: the split, see `tflm.data.hugging_face`.
            settings: as `open_split` takes them.

        Raises:
            ValueError: it has not the columns that the task wants.
        """
        raise NotImplementedError

    @classmethod
    def _no_split(cls, directory: pathlib.Path, split: str) -> FileNotFoundError:
        return FileNotFoundError(
            f"`data` must hold {cls.split_files(split)}. Received: {directory}"
        )

    @classmethod
    def scored_data(cls, examples: Any, settings: Mapping[str, Any]) -> ScoredData:
        """Inputs for a model, and what is expected of it.

        Args:
            examples: raw examples, or a tuple of inputs and references.
            settings: as `open_split` takes them.

        Raises:
            ValueError: the examples do not suit the model.
        """
        raise NotImplementedError
