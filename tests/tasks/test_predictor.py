import json
import shutil

import numpy as np
import pytest

from tflm.tasks.predictor import (
    open_predictor,
    run_languages,
    saved_model_directory,
    task_directory,
)

TEXTS = ["three one", "", "seven seven eight two", "nine"]


def make_versions(folder, *names):
    for name in names:
        (folder / name).mkdir()
        (folder / name / "saved_model.pb").touch()


def test_a_task_is_found_in_its_directory_and_in_a_run(saved_task, tmp_path):
    assert task_directory(saved_task) == saved_task
    (tmp_path / "model").symlink_to(saved_task)
    assert task_directory(tmp_path) == tmp_path / "model"


def test_a_directory_without_a_model_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "gone"):
        with pytest.raises(FileNotFoundError, match="`run` must be a directory .* Received: .*"):
            task_directory(path)
        with pytest.raises(FileNotFoundError, match="`run` must be a directory .* Received: .*"):
            open_predictor(path)


def test_the_highest_complete_version_counts(tmp_path):
    make_versions(tmp_path, "2", "10", "9", ".writing-11", "12a", "²")
    (tmp_path / "13").mkdir()
    assert saved_model_directory(tmp_path) == tmp_path / "10"
    assert saved_model_directory(tmp_path / "9") == tmp_path / "9"
    assert saved_model_directory(tmp_path / "13") is None
    assert saved_model_directory(tmp_path / "gone") is None


def test_a_run_knows_its_languages(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"languages": "en-zh", "seed": 1}))
    assert run_languages(tmp_path) == ("en", "zh")


def test_the_languages_of_anything_else_must_be_given(saved_task, tmp_path):
    with pytest.raises(ValueError, match="`languages` must be given for a model that is not a run"):
        run_languages(saved_task)
    with pytest.raises(FileNotFoundError, match="Received: no directory .*gone"):
        run_languages(tmp_path / "gone")


def test_a_task_and_its_saved_model_answer_alike(saved_task, exported, trained_task, tmp_path):
    shutil.copytree(saved_task, tmp_path / "model")
    answers = [open_predictor(path)(TEXTS * 17) for path in (tmp_path, exported)]
    assert len(answers[0]) == len(answers[1]) == 68  # more than are answered at once
    for ours, theirs in zip(*answers, strict=True):
        assert ours.keys() == theirs.keys() == {"text", "score", "truncated"}
        assert (ours["text"], ours["truncated"]) == (theirs["text"], theirs["truncated"])
        np.testing.assert_allclose(ours["score"], theirs["score"], rtol=1e-4)
        assert type(theirs["truncated"]) is bool
    assert [answer["text"] for answer in answers[1][:4]] == trained_task(TEXTS)
    assert open_predictor(exported)([]) == []
