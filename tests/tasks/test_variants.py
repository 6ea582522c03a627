import json
import types

import pytest

from tflm.export.check import check
from tflm.tasks.variants import variant_of


def size(directory):
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def task(make_task):
    return make_task()


def test_the_tasks_own_dtype_is_the_task_itself(task):
    variant = variant_of(task, None)
    assert variant.task is variant_of(task, "float32").task is task
    assert variant.float32 is None and variant.int8 is None
    count = 4 * task.model.count_params()
    assert variant.weights() == {"dtype": "float32", "bytes": count, "float32_bytes": count}


def test_bfloat16_has_half_the_bytes(task):
    variant = variant_of(task, "bfloat16")
    assert variant.float32 is task
    found = variant.weights()
    assert found["dtype"] == "bfloat16"
    assert 0.5 <= found["bytes"] / found["float32_bytes"] < 0.51  # normalisation stays in float32
    again = variant_of(variant.task, "float32")
    assert again.float32 is None and again.task.model.dtype_policy.name == "float32"


def test_int8_changes_a_copy_of_the_task(task):
    before = [weight.numpy() for weight in task.model.weights]
    variant = variant_of(task, "int8")
    found = variant.weights()
    assert found["dtype"] == "int8"
    assert 0.25 < found["bytes"] / found["float32_bytes"] < 0.4  # it is 24 wide
    assert all(
        (weight.numpy() == old).all()
        for weight, old in zip(task.model.weights, before, strict=True)
    )
    assert any(
        (weight.numpy() != old).any()
        for weight, old in zip(variant.task.model.weights, before, strict=True)
    )


def test_int8_is_not_frozen():
    task = types.SimpleNamespace()
    with pytest.raises(ValueError, match="`freeze` must be false for int8.*Received: freeze=True"):
        variant_of(task, "int8", freeze=True)


@pytest.mark.slow
def test_an_int8_export_is_small_and_answers_as_its_card_says(trained_task, toy_pairs, tmp_path):
    pairs = tuple(zip(*toy_pairs[:40], strict=True))
    options = {"evaluate_on": pairs, "target_language": "de", "require": ["bleu>=10"]}
    path = trained_task.export(tmp_path / "numbers", dtype="int8", licence="CC BY 4.0", **options)
    plain = trained_task.export(tmp_path / "plain")
    ratio = size(path / "variables") / size(plain / "variables")
    assert ratio < 0.45  # scales and vectors weigh more in a network that is 24 wide
    card = json.loads((path / "assets.extra" / "model_card.json").read_text("utf-8"))
    assert card["licence"] == "CC BY 4.0"
    assert card["weights"]["dtype"] == "int8"
    (ours, exact) = (
        next(each["value"] for each in card["evaluation"][name] if each["name"] == "bleu")
        for name in ("scores", "float32_scores")
    )
    assert abs(ours - exact) < 5.0
    found = [each for each in check(path) if each.status != "ok"]
    assert found == []
