import json

import pytest

from tflm.tasks import model_settings as module
from tflm.tasks.model_settings import answer_language, model_settings, run_settings, task_name
from tflm.tasks.served_signature import ServedSignature


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def test_a_run_s_settings_and_its_task_s_are_known(tmp_path):
    write(tmp_path / "run.json", {"task": "sentiment_analysis", "labels": "", "epochs": 3})
    saved = {"task": "SentimentAnalysis", "settings": {"labels": ["负面", "正面"], "pairs": True}}
    write(tmp_path / "model" / "task.json", saved)
    assert model_settings(tmp_path) == {
        "task": "sentiment_analysis",
        "labels": ["负面", "正面"],
        "pairs": True,
        "epochs": 3,
    }
    assert run_settings(tmp_path)["labels"] == ""
    assert run_settings(tmp_path / "model") == {}
    assert model_settings(tmp_path / "model")["labels"] == ["负面", "正面"]


def test_what_a_run_s_cleaning_did_is_among_its_settings(tmp_path):
    write(tmp_path / "run.json", {"clean": ["control"], "seed": 3})
    write(tmp_path / "cleaning.json", {"seen": 7, "kept": 5, "steps": []})
    found = run_settings(tmp_path)
    assert (found["clean"], found["seed"]) == (["control"], 3)
    assert found["cleaning"]["kept"] == 5


def test_the_card_of_a_saved_model_says_how_it_was_trained(tmp_path):
    (tmp_path / "3").mkdir()
    (tmp_path / "3" / "saved_model.pb").touch()
    assert model_settings(tmp_path) == {}
    card = {
        "task": "QuestionAnswering",
        "training": {"language": "zh", "unanswerable": False},
        "model": {"unanswerable": True},
    }
    write(tmp_path / "3" / "assets.extra" / "model_card.json", card)
    expected = {"task": "question_answering", "language": "zh", "unanswerable": True}
    assert model_settings(tmp_path) == model_settings(tmp_path / "3") == expected


@pytest.mark.parametrize(
    ("inputs", "outputs", "expected"),
    [
        (("context", "question"), ("answer", "score"), ("question_answering", False, False)),
        (("text", "text_pair"), ("label", "score"), ("sentiment_analysis", True, False)),
        (("text",), ("label", "labels"), ("sentiment_analysis", False, True)),
        (("text",), ("score", "text"), ("translation", False, False)),
    ],
)
def test_a_served_model_s_signature_shows_its_task(inputs, outputs, expected, monkeypatch):
    signature = ServedSignature(inputs, outputs)
    monkeypatch.setattr(module, "served_signature", lambda address: signature)
    found = model_settings("grpc://host:8500/m")
    assert (found["task"], found["pairs"], found["multi_label"]) == expected


def test_a_path_without_a_model_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="`model` must be a run, .* no directory .*gone"):
        model_settings(tmp_path / "gone")
    with pytest.raises(FileNotFoundError, match="`run` must be a directory of `tflm train`"):
        model_settings(tmp_path)


def test_the_language_of_answers_is_the_target_s():
    assert answer_language({"languages": "en-zh"}) == "zh"
    assert answer_language({"language": "zh", "target_language": "zh-TW"}) == "zh-TW"
    assert answer_language({"language": "zh"}) == "zh"
    assert answer_language({}) == ""
    with pytest.raises(ValueError, match="`languages` must be two codes"):
        answer_language({"languages": "zh"})


def test_a_task_is_called_as_in_the_catalog_or_by_its_own_name():
    class Translation: ...

    class MyTranslation(Translation): ...

    class MaskedLM: ...

    assert task_name(MyTranslation) == "translation"
    assert task_name(MaskedLM) == "masked_lm"
