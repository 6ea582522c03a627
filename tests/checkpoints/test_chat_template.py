import json

import pytest

from tflm import checkpoints
from tflm.checkpoints import ChatTemplate, chat_template, load_chat_template

SOURCE = "{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}"


@pytest.fixture
def directory(copy_of):
    """A function: a checkpoint with these settings of its tokenizer."""

    def make(**settings):
        path = copy_of("qwen2")
        (path / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
        (path / "vocab.txt").write_text(
            "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n大\n", encoding="utf-8"
        )
        return path

    return make


def test_a_template_comes_with_the_special_tokens_that_it_may_name(directory):
    path = directory(chat_template=SOURCE, eos_token={"content": "完"}, bos_token=None)
    (path / "special_tokens_map.json").write_text('{"eos_token": "x", "pad_token": "[PAD]"}')
    tokens = {"eos_token": "完", "pad_token": "[PAD]"}
    assert load_chat_template(path) == ChatTemplate(SOURCE, tokens)


def test_a_file_of_its_own_comes_first(directory):
    path = directory(chat_template="older")
    (path / "chat_template.jinja").write_text("用户：{{ messages }}", encoding="utf-8")
    assert load_chat_template(path).source == "用户：{{ messages }}"


def test_of_several_templates_the_default_one_is_taken(directory):
    several = [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]
    assert load_chat_template(directory(chat_template=several)).source == "d"
    assert load_chat_template(directory(chat_template=several[:1])) is None


def test_a_checkpoint_without_a_template_has_none(fixture_directory, monkeypatch):
    assert load_chat_template(fixture_directory("qwen2")) is None
    monkeypatch.setattr(chat_template.backbones, "is_preset", lambda source: True)
    assert load_chat_template("a_preset_of_keras_hub") is None


def test_a_converted_checkpoint_keeps_its_template(directory, tmp_path):
    path = directory(chat_template=SOURCE, eos_token="完")
    checkpoints.convert(path, tmp_path / "own")
    assert load_chat_template(tmp_path / "own") == ChatTemplate(SOURCE, {"eos_token": "完"})
    (path / "chat_template.jinja").write_text("newer")
    checkpoints.convert(path, tmp_path / "theirs", format="huggingface")
    assert load_chat_template(tmp_path / "theirs").source == "newer"
