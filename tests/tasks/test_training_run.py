import dataclasses
import io
import json

import pytest
from rich.console import Console

from tflm.tasks.training_run import TrainingRun, write_json


@dataclasses.dataclass(frozen=True)
class Plan:
    """The least settings of a run."""

    preset: str = "gpt2/tiny"
    epochs: int = 3
    average_last: int = 1
    seed: int = 1
    dtype: str = "float32"
    younger: int = 5


DATA = {"train": ["a text"]}


class Run(TrainingRun):
    """What reads no data and makes no task."""

    Settings = Plan


def make(out, data=DATA, **changes):
    return Run(out, data, Plan(**changes), Console(file=io.StringIO()))


def test_a_directory_belongs_to_the_run_that_trained_in_it(tmp_path):
    make(tmp_path, dtype="bfloat16")
    (tmp_path / "checkpoint").touch()
    make(tmp_path, dtype="bfloat16", epochs=7)
    assert json.loads((tmp_path / "run.json").read_text())["epochs"] == 7
    with pytest.raises(
        ValueError, match="the same run. Received: dtype: 'bfloat16' there, 'float32' now"
    ):
        make(tmp_path, epochs=7)


def test_a_setting_younger_than_the_run_has_its_default(tmp_path):
    make(tmp_path)
    saved = json.loads((tmp_path / "run.json").read_text())
    del saved["younger"]
    write_json(tmp_path / "run.json", saved)
    (tmp_path / "checkpoint").touch()
    make(tmp_path)
    with pytest.raises(ValueError, match="younger: 5 there, 6 now"):
        make(tmp_path, younger=6)


def test_a_run_that_never_trained_binds_nobody(tmp_path):
    make(tmp_path)
    (tmp_path / "tokenizer").mkdir()
    make(tmp_path, seed=2)
    assert not (tmp_path / "tokenizer").exists()


def test_what_cannot_train_leaves_nothing_behind(tmp_path):
    with pytest.raises(ValueError, match="`name` must be one of .*name='gpt2/pico'"):
        make(tmp_path / "out", preset="gpt2/pico")
    with pytest.raises(ValueError, match="`data` must hold examples. Received: none in split 'v'"):
        make(tmp_path / "out", data={**DATA, "v": []})
    assert not (tmp_path / "out").exists()


def test_what_a_subclass_must_say_is_asked_for(tmp_path):
    run = make(tmp_path)
    assert run.callbacks(None) == []
    for call, arguments in (
        (run.new_task, ()),
        (run.data_options, ()),
        (run.evaluate, ("test",)),
        (run.recipe_data, (None, tmp_path, "raise", None)),
        (run.directory_data, (tmp_path, None, "raise", None)),
    ):
        with pytest.raises(NotImplementedError):
            call(*arguments)
