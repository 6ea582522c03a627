import json
import types

import pytest
import tensorflow as tf

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


def test_w8a8_rounds_a_copy_of_the_task(make_task):
    task = make_task(config={"hidden_dim": 64, "ffn_dim": 96, "num_heads": 2})
    before = [weight.numpy() for weight in task.model.weights]
    variant = variant_of(task, "w8a8")
    found = variant.weights()
    assert found["dtype"] == "w8a8"
    assert 0.25 < found["bytes"] / found["float32_bytes"] < 0.3
    assert variant.float32 is task and variant.task is not task
    assert all(
        (weight.numpy() == old).all()
        for weight, old in zip(task.model.weights, before, strict=True)
    )


@pytest.mark.parametrize("dtype", ["int8", "w8a8"])
def test_eight_bits_are_not_frozen(dtype):
    task = types.SimpleNamespace()
    message = f"`freeze` must be false for {dtype}: .* Received: freeze=True, dtype='{dtype}'"
    with pytest.raises(ValueError, match=message):
        variant_of(task, dtype, freeze=True)


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


@pytest.mark.slow
def test_a_w8a8_export_answers_as_its_task_and_almost_as_float32(make_task, toy_pairs, tmp_path):
    from tflm.tasks.sequence_to_sequence import default_optimizer

    task = make_task(config={"hidden_dim": 64, "ffn_dim": 96, "num_heads": 2}, max_source_length=20)
    task.compile(default_optimizer(4e-3, warmup_steps=60))
    options = {"tokens_per_batch": 256, "max_length": 64}
    task.fit(toy_pairs, epochs=14, data_options=options, verbose=0)
    sources, targets = zip(*toy_pairs[:60], strict=True)
    path = task.export(
        tmp_path / "products",
        dtype="w8a8",
        evaluate_on=(sources, targets),
        target_language="de",
        require=["bleu>=10"],
    )
    card = json.loads((path / "assets.extra" / "model_card.json").read_text("utf-8"))
    assert card["weights"]["dtype"] == "w8a8"
    ours, exact = (
        next(each["value"] for each in card["evaluation"][name] if each["name"] == "bleu")
        for name in ("scores", "float32_scores")
    )
    assert abs(ours - exact) < 5.0
    serve = tf.saved_model.load(str(path)).signatures["serving_default"]
    texts = ["", " ", *sources, "\U0001f600 \u4f60\u597d"]
    together = [text.decode() for text in serve(text=tf.constant(texts))["text"].numpy()]
    alone = [serve(text=tf.constant([text]))["text"].numpy()[0].decode() for text in texts[:9]]
    assert together[:9] == alone
    assert together == variant_of(task, "w8a8").task.predict(texts)
    assert together[0] == ""
    assert len(set(together)) > 10
    newest = [each for each in check(path, targets=("2.17", "2.21")) if each.status != "ok"]
    assert newest == []
    (older,) = (each for each in check(path, targets=("2.16",), run=False) if each.status != "ok")
    assert "_QuantizedMatMul" in older.message
