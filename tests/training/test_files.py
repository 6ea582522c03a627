import pathlib
import stat

import numpy as np
import pytest
import safetensors

from tflm.training.files import (
    load_tensors,
    remove_unfinished,
    save_tensors,
    write_atomically,
)


def write_text(text):
    return lambda path: pathlib.Path(path).write_text(text, encoding="utf-8")


def names_in(directory):
    return sorted(path.name for path in directory.iterdir())


def test_the_file_is_there_alone_and_readable_by_all(tmp_path):
    path = tmp_path / "new" / "folder" / "file.txt"
    write_atomically(path, write_text("whole"))
    assert path.read_text(encoding="utf-8") == "whole"
    assert names_in(path.parent) == ["file.txt"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_new_file_takes_the_place_of_the_old_one(tmp_path):
    path = tmp_path / "file.txt"
    for text in ("old", "new"):
        write_atomically(str(path), write_text(text))
    assert path.read_text(encoding="utf-8") == "new"
    assert names_in(tmp_path) == ["file.txt"]


def test_the_old_file_stands_while_the_new_one_is_written(tmp_path):
    path = tmp_path / "file.txt"
    write_atomically(path, write_text("old"))
    seen = []

    def write(temporary):
        write_text("new")(temporary)
        seen.append(path.read_text(encoding="utf-8"))
        assert pathlib.Path(temporary).parent == tmp_path  # the same disk, so it can be renamed

    write_atomically(path, write)
    assert seen == ["old"]


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path):
    write_atomically(tmp_path / "file.txt", write_text("whole"))
    (tmp_path / "folder").mkdir()
    others = [".file.txt", "file.unfinished", ".notes.unfinished.txt", "folder/.a.unfinished"]
    for name in others:
        (tmp_path / name).touch()
    left = []
    write_atomically(tmp_path / "file.txt", lambda path: (left.append(path), write_text("a")(path)))
    pathlib.Path(left[0]).write_text("hal", encoding="utf-8")  # as if killed before the renaming
    remove_unfinished(tmp_path)
    remove_unfinished(tmp_path / "nowhere")
    assert names_in(tmp_path) == sorted([".file.txt", "file.txt", *others[1:3], "folder"])
    assert names_in(tmp_path / "folder") == [".a.unfinished"]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("old", [None, "old"])
def test_a_failure_leaves_what_was_there(tmp_path, old, error):
    path = tmp_path / "file.txt"
    if old is not None:
        path.write_text(old, encoding="utf-8")

    def fail(temporary):
        write_text("hal")(temporary)
        raise error

    with pytest.raises(type(error)):
        write_atomically(path, fail)
    assert names_in(tmp_path) == ([] if old is None else ["file.txt"])
    assert old is None or path.read_text(encoding="utf-8") == old


def test_tensors_and_metadata_come_back(tmp_path):
    path = tmp_path / "some.safetensors"
    tensors = {
        "float": np.linspace(0.0, 1.0, 6, dtype="float32").reshape(2, 3),
        "turned": np.arange(12, dtype="int64").reshape(3, 4).T,
        "every other": np.arange(10, dtype="uint32")[::2],
        "empty": np.zeros((0, 5), "float16"),
        "truth": np.array([True, False]),
    }
    save_tensors(path, tensors, {"position": '{"step": 3}', "text": "ü"})
    found, metadata = load_tensors(path)
    assert metadata == {"position": '{"step": 3}', "text": "ü"}
    assert found.keys() == tensors.keys()
    for name, array in tensors.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_a_scalar_comes_back_as_one_element(tmp_path):
    save_tensors(tmp_path / "file", {"count": np.int64(7)})
    found, metadata = load_tensors(tmp_path / "file")
    assert found["count"].tolist() == [7]
    assert metadata == {}


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_tensors(tmp_path / "nowhere")


def test_a_full_disk_is_an_os_error_and_the_old_file_stands(tmp_path, monkeypatch):
    path = tmp_path / "weights.safetensors"
    save_tensors(path, {"w": np.arange(3.0)})

    def full(*_):
        raise safetensors.SafetensorError("No space left on device (os error 28)")

    monkeypatch.setattr("safetensors.numpy.save_file", full)
    with pytest.raises(OSError, match="weights.safetensors could not be written: No space left"):
        save_tensors(path, {"w": np.zeros(3)})
    assert names_in(tmp_path) == ["weights.safetensors"]
    np.testing.assert_array_equal(load_tensors(path)[0]["w"], np.arange(3.0))
