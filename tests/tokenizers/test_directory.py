import pytest

from tflm.tokenizers.directory import read_config, require_files, write_files


def test_files_are_written_whole_into_a_new_folder(tmp_path):
    folder = tmp_path / "a" / "b"
    write_files(folder, {"one.json": '{"k": "狐狸"}', "two.bin": b"\x00\xff"})
    assert sorted(path.name for path in folder.iterdir()) == ["one.json", "two.bin"]
    assert read_config(folder, "one.json", ["two.bin"]) == {"k": "狐狸"}
    assert (folder / "two.bin").read_bytes() == b"\x00\xff"


def test_a_missing_file_is_named_with_what_is_there(tmp_path):
    (tmp_path / "other.txt").touch()
    with pytest.raises(FileNotFoundError, match="lacks x.json and holds other.txt"):
        require_files(tmp_path, ["other.txt", "x.json"])


def test_a_folder_that_is_not_there_holds_nothing(tmp_path):
    with pytest.raises(FileNotFoundError, match="lacks x.json and holds nothing"):
        read_config(tmp_path / "nowhere", "x.json")
