import pytest
from google.protobuf import text_format

from tflm.export.model_config import models_of, with_model

EDITED = """# ours
model_config_list: {  # { not a bracket }
  config: <
    name: 'old "one"', base_path: "/models/old"  # name: "no"
    model_version_policy { specific { versions: 3 versions: 7 } }
    version_labels { key: "name" value: 3 }
    version_labels { key: "canary" value: 7 }
  >;
}
"""


def parsed(content):
    """As TF Serving's own package reads it."""
    config = pytest.importorskip("tensorflow_serving.config.model_server_config_pb2")
    return text_format.Parse(content, config.ModelServerConfig())


def test_a_new_file_lists_the_model():
    (found,) = parsed(with_model("", "译", "/models/译")).model_config_list.config
    assert (found.name, found.base_path) == ("译", "/models/译")
    assert found.model_platform == "tensorflow"


def test_a_model_joins_those_that_are_there_and_nothing_else_changes():
    content = with_model(EDITED, "new", "/models/new")
    assert all(line in content for line in EDITED.splitlines())
    old, new = parsed(content).model_config_list.config
    assert old.name == 'old "one"'
    assert list(old.model_version_policy.specific.versions) == [3, 7]
    assert dict(old.version_labels) == {"name": 3, "canary": 7}
    assert new.name == "new"
    assert models_of(content) == ['old "one"', "new"]


def test_a_model_that_is_listed_is_not_listed_twice():
    assert with_model(EDITED, 'old "one"', "/elsewhere") == EDITED


def test_a_list_of_messages_is_read_too():
    content = 'model_config_list { config: [ { name: "a" }, { name: "b" } ] }'
    assert models_of(content) == ["a", "b"]
    grown = with_model(content, 'c\\"d', "/c")
    assert [each.name for each in parsed(grown).model_config_list.config] == ["a", "b", 'c\\"d']


@pytest.mark.parametrize(
    ("content", "received"),
    [
        ("custom_model_config { }", "none"),
        ('model_config_list { config { name: "a" }', "model_config_list without its end"),
        ("model_config_list { } }", "a closing '}' too many"),
    ],
)
def test_what_is_no_list_is_refused(content, received):
    with pytest.raises(ValueError, match=f"one model_config_list .* Received: {received}"):
        with_model(content, "a", "/a")
