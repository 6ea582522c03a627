import pathlib
import shutil

import pytest
import tensorflow as tf

from tflm.export import saved_model_file
from tflm.export.check import TARGETS, check
from tflm.export.rules import RULES


def test_a_good_model_passes_for_every_version(upper):
    found = list(check(upper))
    rules = [rule.__name__ for rule in RULES]
    assert [each.rule for each in found] == [*rules, "reload", "answers"]
    assert not [each for each in found if each.status == "failure"]
    assert TARGETS[0] == "2.12"


@pytest.mark.slow
def test_an_exported_task_passes(exported):
    """With all its ops, TF Text's too, in every version."""
    found = list(check(exported))
    assert [each.message for each in found if each.status != "ok"] == []
    assert {"warmup", "reload", "answers", "batches"} <= {each.rule for each in found}


def test_a_model_with_python_is_not_loaded(save, tmp_path):
    ran = []
    spec = tf.TensorSpec([None], tf.float32, name="x")
    save(tmp_path, lambda x: {"y": tf.numpy_function(ran.append, [x], tf.float32)}, spec)
    found = list(check(tmp_path))
    assert [each.rule for each in found if each.status == "failure"] == ["python"]
    assert "reload" not in {each.rule for each in found} and ran == []


def test_a_target_that_is_not_known_lists_the_known_ones(upper):
    with pytest.raises(ValueError, match="`target` must be one of 2.12, .* Received: target='1.9'"):
        list(check(upper, ["1.9"]))


@pytest.mark.parametrize(
    ("card", "oldest"),
    [
        ('{"weights": {"tf_serving": "2.17"}}', "2.17"),
        ('{"weights": {"dtype": "float32"}}', ""),
        ('{"weights": {"tf_serving": "1.15"}}', ""),
        ('{"weights": []}', ""),
        ("[]", ""),
        ("{", ""),
    ],
)
def test_what_the_card_asks_for_is_the_oldest_target(upper, tmp_path, card, oldest):
    directory = tmp_path / "upper"
    shutil.copytree(upper, directory)
    assets = pathlib.Path(saved_model_file.read(directory).path, "assets.extra")
    assets.mkdir(exist_ok=True)
    (assets / "model_card.json").write_text(card, encoding="utf-8")
    first, *rest = check(directory, run=False)
    if oldest:
        assert (first.rule, first.status) == ("targets", "warning")
        assert first.message == f"Its card asks for TF Serving {oldest} or newer; not for 2.16."
        assert rest[0].message.endswith(f"all in TF Serving {oldest} to {TARGETS[-1]}.")
    else:
        assert first.message.endswith(f"all in TF Serving {TARGETS[0]} to {TARGETS[-1]}.")
    asked = next(iter(check(directory, ["2.12"], run=False)))
    assert asked.message.endswith("all in TF Serving 2.12.")


def test_a_model_that_takes_too_long_is_a_failure(upper):
    found = list(check(upper, timeout=0.01))
    assert found[-1].rule == "reload"
    assert found[-1].message == "It was not loaded and asked in 0.01 seconds."


def test_a_process_that_dies_is_a_failure(upper, monkeypatch):
    monkeypatch.setattr("sys.executable", "/bin/false")
    found = list(check(upper))
    assert found[-1].message.startswith("The process that loaded it ended with status 1")
