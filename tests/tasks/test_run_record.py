import json
import os

import pytest

from tflm.data import SquadFiles
from tflm.tasks.run_record import TRAIN_DATA, claim, dtype_begun_with, fingerprint, write_json

ROWS = [("a text", "一段文字"), ("another", "另一段")]


def record(rows=ROWS, **changes):
    return {"task": "reading", "epochs": 3, "seed": 1, TRAIN_DATA: fingerprint(rows), **changes}


def learned(directory):
    (directory / "checkpoint").touch()


def read(directory):
    return json.loads((directory / "run.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "other",
    [
        ROWS[::-1],
        ROWS[:1],
        [*ROWS, ROWS[0]],
        [("a text", "一段文字"), ("another", "另一節")],
        [("a text一段文字", ""), ("another", "另一段")],
        [],
    ],
)
def test_data_that_differs_has_another_fingerprint(other):
    assert fingerprint(ROWS) == fingerprint(iter(ROWS))
    assert fingerprint(other)["sha256"] != fingerprint(ROWS)["sha256"]
    assert fingerprint(other)["examples"] == len(other)


def test_the_fingerprint_of_a_file_is_that_of_what_it_says(tmp_path):
    def questions(answer):
        paragraph = {
            "context": "茶是一种饮料。",
            "qas": [{"id": "1", "question": "茶?", "answers": [answer]}],
        }
        path = tmp_path / f"{answer['answer_start']}.json"
        path.write_text(json.dumps({"version": "1", "data": [{"paragraphs": [paragraph]}]}))
        return SquadFiles(path)

    first = questions({"text": "茶", "answer_start": 0})
    assert fingerprint(first) == fingerprint(SquadFiles(tmp_path / "0.json"))
    assert fingerprint(first) != fingerprint(questions({"text": "饮料", "answer_start": 4}))


def test_a_run_that_has_learned_goes_on_as_the_same_one_only(tmp_path):
    claim(tmp_path, record(), {})
    learned(tmp_path)
    claim(tmp_path, record(epochs=5, patience=2), {})
    assert read(tmp_path) == record(epochs=5, patience=2)
    with pytest.raises(
        ValueError,
        match="`out` must be a new .* the same run. Received: dropout: None there, 0.3 now, "
        "seed: 1 there, 2 now$",
    ):
        claim(tmp_path, record(seed=2, dropout=0.3), {})
    assert read(tmp_path) == record(epochs=5, patience=2)


def test_other_training_data_is_told_from_a_runs_own(tmp_path):
    claim(tmp_path, record(), {})
    learned(tmp_path)
    with pytest.raises(
        ValueError, match="Received: other training data, of 2 examples there, 1 now$"
    ):
        claim(tmp_path, record(ROWS[:1]), {})
    assert read(tmp_path)[TRAIN_DATA] == fingerprint(ROWS)


def test_a_record_without_an_entry_means_what_was_so_before_there_was_one(tmp_path):
    old = record()
    del old[TRAIN_DATA]
    write_json(tmp_path / "run.json", old)
    learned(tmp_path)
    now = record(younger=5)
    with pytest.raises(ValueError, match="younger: 4 there, 5 now"):
        claim(tmp_path, now, {"younger": 4, TRAIN_DATA: now[TRAIN_DATA]})
    claim(tmp_path, now, {"younger": 5, TRAIN_DATA: now[TRAIN_DATA]})
    assert read(tmp_path) == now


def test_a_run_that_never_learned_binds_nobody_and_its_vocabulary_goes(tmp_path):
    claim(tmp_path, record(), {})
    (tmp_path / "tokenizer").mkdir()
    claim(tmp_path, record(epochs=4), {})
    assert (tmp_path / "tokenizer").is_dir()
    claim(tmp_path, record(ROWS[:1]), {})
    assert not (tmp_path / "tokenizer").exists()
    assert read(tmp_path)[TRAIN_DATA]["examples"] == 1


def test_the_dtype_is_known_of_runs_that_have_learned(tmp_path):
    assert dtype_begun_with(tmp_path) is None
    claim(tmp_path, record(dtype="mixed_bfloat16"), {})
    assert dtype_begun_with(tmp_path) is None
    learned(tmp_path)
    assert dtype_begun_with(tmp_path) == "mixed_bfloat16"
    write_json(tmp_path / "run.json", record())  # older than the setting
    assert dtype_begun_with(tmp_path) == "float32"


def test_json_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "some.json"
    write_json(path, {"text": "一段"})
    assert path.read_text(encoding="utf-8") == '{\n  "text": "一段"\n}\n'

    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_json(path, {"text": "another"})
    assert json.loads(path.read_text(encoding="utf-8")) == {"text": "一段"}
    assert list(tmp_path.iterdir()) == [path]
