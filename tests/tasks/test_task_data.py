import dataclasses

import pytest

from tflm.tasks.task_data import TaskData


@dataclasses.dataclass(frozen=True)
class Plan:
    """The least settings."""

    documents: str = "line"


class Lines(TaskData):
    """Splits that are files of lines, read with what the settings say."""

    @classmethod
    def find_split(cls, directory, split):
        path = directory / f"{split}.txt"
        return path if path.exists() else None

    @classmethod
    def split_files(cls, split):
        return f"{split}.txt"

    @classmethod
    def open_file(cls, path, settings, on_bad, report):
        return [(settings["documents"], on_bad, line) for line in path.read_text().splitlines()]


def test_a_directory_of_splits_is_read_with_the_settings(tmp_path):
    (tmp_path / "train.txt").write_text("茶\ntea\n")
    (tmp_path / "test.txt").write_text("水\n")
    data = Lines.directory_data(tmp_path, Plan("file"), "skip", None)
    assert data == {
        "train": [("file", "skip", "茶"), ("file", "skip", "tea")],
        "test": [("file", "skip", "水")],
    }


def test_a_directory_must_have_something_to_learn_from(tmp_path):
    (tmp_path / "test.txt").write_text("水\n")
    with pytest.raises(FileNotFoundError, match=f"`data` must hold train.txt. .*: {tmp_path}$"):
        Lines.directory_data(tmp_path, Plan(), "raise", None)


def test_a_split_is_a_file_or_one_of_a_directory(tmp_path):
    path = tmp_path / "test.txt"
    path.write_text("水\n")
    rows = [("line", "raise", "水")]
    settings = {"documents": "line"}
    assert Lines.open_split(tmp_path, "test", settings, "raise", None) == rows
    assert Lines.open_split(path, "", settings, "raise", None) == rows
    assert Lines.open_split(path, "valid", settings, "raise", None) == rows  # a file is one split
    with pytest.raises(FileNotFoundError, match="`data` must hold valid.txt. Received: "):
        Lines.open_split(tmp_path, "valid", settings, "raise", None)


def test_what_a_subclass_must_say_is_asked_for(tmp_path):
    for call, arguments in (
        (TaskData.recipe_data, (None, tmp_path, "raise", None)),
        (TaskData.directory_data, (tmp_path, Plan(), "raise", None)),
        (TaskData.find_split, (tmp_path, "train")),
        (TaskData.split_files, ("train",)),
        (TaskData.open_file, (tmp_path, {}, "raise", None)),
        (TaskData.open_dataset, (None, {})),
        (TaskData.scored_data, (None, {})),
    ):
        with pytest.raises(NotImplementedError):
            call(*arguments)
