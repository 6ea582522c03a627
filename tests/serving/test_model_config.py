import logging
import pathlib
import types

import pytest

from tflm.serving import model_config
from tflm.serving.model_config import (
    ModelConfig,
    ModelConfigFile,
    discover_models,
    read_model_config,
)
from tflm.serving.versions import VersionPolicy

CONFIG = """
# As a server reads it.
model_config_list {
  config {
    name: "翻译" base_path: "/models/翻译" model_platform: "tensorflow"
    model_version_policy { specific { versions: 3 versions: 5 } }
    version_labels { key: "stable" value: 3 }
  }
  config { name: "b" base_path: "/models/b" model_platform: "tensorflow"
    model_version_policy { all {} } }
  config { name: "c" base_path: "/models/c" model_platform: "tensorflow"
    model_version_policy { latest { num_versions: 2 } } }
  config { name: "d" base_path: "/models/d" model_platform: "tensorflow" }
}
"""


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "models.config"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def one(**changes):
    fields = {"name": "m", "base_path": "/m", "model_platform": "tensorflow", **changes}
    text = " ".join(f'{name}: "{value}"' for name, value in fields.items() if value)
    return f"config {{ {text} }}"


def test_a_file_says_what_is_served(write):
    assert read_model_config(write(CONFIG)) == [
        ModelConfig(
            "翻译",
            pathlib.Path("/models/翻译"),
            VersionPolicy(specific=(3, 5)),
            {"stable": 3},
        ),
        ModelConfig("b", pathlib.Path("/models/b"), VersionPolicy(latest=None)),
        ModelConfig("c", pathlib.Path("/models/c"), VersionPolicy(latest=2)),
        ModelConfig("d", pathlib.Path("/models/d"), VersionPolicy()),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models { }", "`model_config_file` must be a ModelServerConfig in text"),
        ("", "`model_config_list` must be given.*Received: an empty configuration"),
        ("custom_model_config { }", "`model_config_list` must be given.*custom_model_config"),
        (one(name=""), "`name` must be given for each model. Received: none for '/m'"),
        (one(model_platform=""), "`model_platform` must be 'tensorflow'. Received: .*='' for 'm'"),
        (one(base_path="models/m"), "`base_path` must be absolute.*'models/m' for 'm'"),
        (one() + one(), "`name` must be of one model only. Received: name='m'"),
    ],
)
def test_a_file_that_says_something_else_is_refused(write, text, message):
    whole = f"model_config_list {{ {text} }}" if text.startswith("config") else text
    with pytest.raises(ValueError, match=message):
        read_model_config(write(whole))


def config(*fields):
    return f"model_config_list {{ {' '.join(fields)} }}"


def test_a_file_that_changes_is_read_again(write, monkeypatch, caplog):
    now = types.SimpleNamespace(seconds=50.0)
    clock = types.SimpleNamespace(monotonic=lambda: now.seconds)
    monkeypatch.setattr(model_config, "time", clock)
    path = write(config(one()))
    changing, fixed = ModelConfigFile(path, 3.0), ModelConfigFile(path)

    def names(seconds):
        now.seconds += seconds
        return [model.name for model in changing()]

    assert names(0.0) == ["m"]
    write(config(one(), one(name="翻译", base_path="/t")))
    assert names(2.0) == ["m"] and names(1.5) == ["m", "翻译"]
    with caplog.at_level(logging.ERROR, "tflm.serving"):
        write("model_config_list { config {")
        assert names(4.0) == names(4.0) == ["m", "翻译"]
        path.unlink()
        assert names(4.0) == ["m", "翻译"]
    assert ["ModelServerConfig" in each.message for each in caplog.records] == [True, False]
    write(config(one(name="b")))
    assert names(4.0) == ["b"]
    assert [model.name for model in fixed()] == ["m"]


def test_a_directory_holds_models_by_name(tmp_path):
    for path in ("b/1", "翻译/7", "empty", "notes/draft"):
        (tmp_path / path).mkdir(parents=True)
    (tmp_path / "models.config").write_text("")
    policy = VersionPolicy(latest=None)
    assert discover_models(tmp_path, policy) == [
        ModelConfig("b", tmp_path / "b", policy),
        ModelConfig("翻译", tmp_path / "翻译", policy),
    ]


def test_a_directory_of_versions_is_one_model(tmp_path):
    (tmp_path / "m" / "4").mkdir(parents=True)
    assert discover_models(tmp_path / "m") == [ModelConfig("m", tmp_path / "m")]


def test_no_directory_is_refused(tmp_path):
    with pytest.raises(NotADirectoryError, match="`directory` must be a directory of models"):
        discover_models(tmp_path / "nowhere")
