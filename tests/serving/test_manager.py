import shutil
import threading
import time

import numpy as np
import pytest

from tflm.serving.manager import Manager
from tflm.serving.model_config import ModelConfig
from tflm.serving.status import Code, RequestError
from tflm.serving.versions import VersionPolicy


@pytest.fixture
def base(upper, tmp_path):
    """A model's directory with version 3, and a function that adds another."""
    directory = tmp_path / "模型"
    shutil.copytree(upper / "3", directory / "3")
    return directory


@pytest.fixture
def make(base):
    made = []

    def make(policy=None, labels=None, name="模型", **options):
        models = [ModelConfig(name, base, policy or VersionPolicy(), labels or {})]
        made.append(Manager(lambda: models, **options))
        made[-1].poll()
        return made[-1]

    yield make
    for manager in made:
        manager.close()


def add(base, version):
    shutil.copytree(base / "3", base / "writing")
    (base / "writing").rename(base / str(version))


def states(manager):
    return {each.version: each.state for each in manager.statuses("模型")}


def served(manager, *arguments):
    with manager.lease("模型", *arguments) as servable:
        inputs = {"text": np.array([b"a"], object)}
        assert servable.answer("serving_default", inputs)["text"].tolist() == [b"A"]
        return servable.version


def test_a_new_version_replaces_the_old_one(base, make):
    loaded = []
    manager = make(observe=lambda servable: loaded.append(servable.version))
    assert served(manager) == 3
    add(base, 11)
    manager.poll()
    assert served(manager) == 11
    assert states(manager) == {11: "AVAILABLE", 3: "END"} and loaded == [3, 11]
    manager.poll()
    assert loaded == [3, 11]
    with pytest.raises(RequestError, match=r"Servable not found for request: Specific\(模型, 3\)"):
        served(manager, 3)


def test_a_version_that_goes_comes_back(base, make):
    add(base, 11)
    manager = make()
    shutil.rmtree(base / "11")
    manager.poll()
    assert states(manager) == {11: "END", 3: "AVAILABLE"}
    shutil.rmtree(base / "3")
    manager.poll()
    assert states(manager) == {11: "END", 3: "END"}
    with pytest.raises(RequestError, match=r"Servable not found for request: Latest\(模型\)"):
        served(manager)


def test_policies_and_labels_choose(base, make):
    for version in (5, 11):
        add(base, version)
    manager = make(VersionPolicy(specific=(3, 5)), {"旧": 3})
    assert states(manager) == {5: "AVAILABLE", 3: "AVAILABLE"}
    assert (served(manager), served(manager, 3), served(manager, None, "旧")) == (5, 3, 3)
    assert [each.version for each in manager.statuses("模型", label="旧")] == [3]
    with pytest.raises(RequestError, match="Unrecognized servable version label: 新"):
        served(manager, None, "新")


def test_a_broken_version_leaves_the_old_one_until_it_is_mended(base, make):
    manager = make()
    whole = (base / "3" / "saved_model.pb").read_bytes()
    add(base, 4)
    (base / "4" / "saved_model.pb").write_bytes(whole[: len(whole) // 2])
    manager.poll()
    newest, old = manager.statuses("模型")
    assert (newest.version, newest.state, newest.code) == (4, "END", Code.DATA_LOSS)
    assert "must hold a whole saved_model.pb" in newest.message
    assert (old.state, old.code) == ("AVAILABLE", Code.OK) and served(manager) == 3
    manager.poll()
    (base / "4" / "saved_model.pb").write_bytes(whole)
    manager.poll()
    assert served(manager) == 4


def test_whatever_a_load_fails_with_is_told(base, make, monkeypatch):
    monkeypatch.setattr("tflm.serving.manager.Servable", lambda *arguments: 1 / 0)
    (status,) = make().statuses("模型")
    assert (status.code, status.message) == (Code.INTERNAL, "ZeroDivisionError: division by zero")


def test_a_directory_that_is_away_changes_nothing(base, make):
    manager = make()
    base.rename(base.with_name("away"))
    manager.poll()
    assert served(manager) == 3


def test_a_version_goes_when_its_last_request_is_answered(base, make):
    manager = make()
    add(base, 11)
    with manager.lease("模型") as old:
        polling = threading.Thread(target=manager.poll)
        polling.start()
        while states(manager).get(11) != "AVAILABLE" or states(manager)[3] == "AVAILABLE":
            time.sleep(0.01)
        assert states(manager)[3] == "UNLOADING" and served(manager) == 11
        inputs = {"text": np.array(["é".encode()], object)}
        assert old.answer("serving_default", inputs)["text"].tolist() == ["é".encode()]
    polling.join(20)
    assert states(manager)[3] == "END"


def test_a_request_that_never_ends_holds_nothing_up(base, make):
    manager = make(unload_seconds=0.1)
    add(base, 11)
    with manager.lease("模型"):
        began = time.monotonic()
        manager.poll()
        assert states(manager) == {11: "AVAILABLE", 3: "END"}
        manager.close()
        assert states(manager) == {11: "END", 3: "END"}
        assert time.monotonic() - began < 20


def test_other_models_may_be_served_later(base, make):
    manager = make()
    add(base, 5)
    named = ModelConfig("named", base, VersionPolicy(latest=None), {"stable": 3})
    manager.configure([named])
    assert states(manager) == {3: "END"} and manager.knows("named")
    assert [each.version for each in manager.statuses("named", label="stable")] == [3]
    with pytest.raises(RequestError, match="Request to assign label to version 9 of model named"):
        manager.configure([ModelConfig("named", base, VersionPolicy(), {"stable": 9})])
    message = "UNKNOWN: Some models did not become available: {{name: gone}, }"
    with pytest.raises(RequestError, match=message):
        manager.configure([ModelConfig("gone", base.parent / "nowhere")])


def test_what_is_not_known_is_told(make):
    manager = make()
    assert not manager.knows("m")
    with pytest.raises(RequestError, match="ModelSpec has no name specified."):
        manager.lease("").__enter__()
    with pytest.raises(RequestError, match="Could not find any versions of model m"):
        manager.statuses("m")
    with pytest.raises(RequestError, match="Could not find version 9 of model 模型"):
        manager.statuses("模型", 9)


def test_the_disk_is_looked_at_again_and_again(base, make, caplog):
    manager = make()
    add(base, 7)
    failing = iter([OSError("the disk is away")])
    looks = manager._models

    def look():
        for error in failing:
            raise error
        return looks()

    manager._models = look
    manager.start(0.01)
    deadline = time.monotonic() + 20
    while states(manager).get(7) != "AVAILABLE" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert states(manager)[7] == "AVAILABLE"
    assert "The models could not be looked at." in caplog.text
