import os

import pytest
import tensorflow as tf

from tflm.export import new_version, next_version, save


class Double(tf.Module):
    def __init__(self):
        super().__init__()
        self.factor = tf.Variable(2.0)

    def signatures(self):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
        def serving_default(x):
            return {"y": self.factor * x}

        return {"serving_default": serving_default}


@pytest.fixture
def double():
    module = Double()
    return module, module.signatures()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_version_is_complete_when_it_has_its_name(double, tmp_path):
    folder = tmp_path / "some" / "model"
    path = save(*double, folder)
    assert path == folder / "1"
    assert names(folder) == ["1"]
    assert oct(path.stat().st_mode & 0o777) == "0o755"  # a server of another user may read it
    loaded = tf.saved_model.load(str(path))
    answer = loaded.signatures["serving_default"](x=tf.constant([1.5, 2.0]))
    assert answer["y"].numpy().tolist() == [3.0, 4.0]


def test_the_next_version_follows_the_highest(double, tmp_path):
    assert next_version(tmp_path / "gone") == 1
    for name in ("3", "12", "9", "13a", ".writing-20", "²"):
        (tmp_path / name).mkdir()
    assert next_version(tmp_path) == 13
    assert save(*double, str(tmp_path)) == tmp_path / "13"
    assert save(*double, tmp_path, version=5) == tmp_path / "5"
    assert next_version(tmp_path) == 14


def test_a_version_that_exists_is_left_alone(double, tmp_path):
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "mine").touch()
    with pytest.raises(FileExistsError, match=r"`version` must not exist yet. Received: .*2"):
        save(*double, tmp_path, version=2)
    assert names(tmp_path / "2") == ["mine"]


@pytest.mark.parametrize("version", [0, -3])
def test_versions_count_from_one(double, tmp_path, version):
    message = f"`version` must be at least 1. Received: version={version}"
    with pytest.raises(ValueError, match=message):
        save(*double, tmp_path / "model", version=version)
    assert not (tmp_path / "model").exists()


def test_a_server_never_sees_half_a_version(double, tmp_path, monkeypatch):
    seen = []
    original = tf.saved_model.save

    def watch(module, path, **kwargs):
        original(module, path, **kwargs)
        seen.extend(names(tmp_path))

    monkeypatch.setattr(tf.saved_model, "save", watch)
    save(*double, tmp_path)
    assert len(seen) == 1
    assert not seen[0].isdecimal()
    assert names(tmp_path) == ["1"]


@pytest.mark.parametrize("moment", ["writing", "renaming"])
@pytest.mark.parametrize("failure", [OSError("disk full"), KeyboardInterrupt()])
def test_a_failure_leaves_nothing_behind(double, tmp_path, monkeypatch, moment, failure):
    (tmp_path / "1").mkdir()
    original = tf.saved_model.save

    def fail(*arguments, **kwargs):
        if moment == "writing":
            original(*arguments, **kwargs)
        raise failure

    owner, name = (tf.saved_model, "save") if moment == "writing" else (os, "rename")
    monkeypatch.setattr(owner, name, fail)
    with pytest.raises(type(failure)):
        save(*double, tmp_path)
    assert names(tmp_path) == ["1"]


def test_files_beside_the_model_are_there_when_it_has_its_name(double, tmp_path):
    path = save(*double, tmp_path, extra={"card.json": "{}", "说明.md": "文字"})
    assert names(path / "assets.extra") == ["card.json", "说明.md"]
    assert (path / "assets.extra" / "说明.md").read_text(encoding="utf-8") == "文字"
    assert tf.saved_model.load(str(path)).signatures


def test_a_file_that_cannot_be_written_leaves_nothing(double, tmp_path):
    with pytest.raises(FileNotFoundError, match="no/such"):
        save(*double, tmp_path, extra={"no/such/folder.json": "{}"})
    assert names(tmp_path) == []


def test_a_new_version_is_known_before_it_is_written(tmp_path):
    assert new_version(tmp_path / "gone") == tmp_path / "gone" / "1"
    (tmp_path / "3").mkdir()
    assert new_version(str(tmp_path)) == tmp_path / "4"
    with pytest.raises(FileExistsError, match="`version` must not exist yet"):
        new_version(tmp_path, 3)
    with pytest.raises(ValueError, match="`version` must be at least 1. Received: version=0"):
        new_version(tmp_path, 0)
