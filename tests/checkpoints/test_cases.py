"""What is true of every family, on committed checkpoints: no PyTorch is needed."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest
import safetensors.numpy

from tflm import checkpoints
from tflm.checkpoints.families import FAMILIES, of_model

FOLDER = pathlib.Path(__file__).parent
CASES = sorted(path.stem for path in (FOLDER / "cases").glob("*.json"))
MISSHAPED = np.zeros((2, 1, 3), "float32")


@pytest.fixture(scope="module", params=CASES)
def case(request):
    return request.param


@pytest.fixture(scope="module")
def model(case):
    return checkpoints.load_model(FOLDER / "fixtures" / case)


def expected(case):
    """Inputs, and what the reference implementation makes of them."""
    found = safetensors.numpy.load_file(FOLDER / "fixtures" / case / "expected.safetensors")
    inputs = {key[7:]: array for key, array in found.items() if key.startswith("inputs.")}
    return inputs, {key[8:]: array for key, array in found.items() if key.startswith("outputs.")}


def mask_of(inputs):
    return inputs.get("decoder_padding_mask", inputs.get("padding_mask")).astype(bool)


def test_every_model_type_has_a_case():
    opened = {
        json.loads((FOLDER / "fixtures" / name / "config.json").read_text())["model_type"]
        for name in CASES
    }
    assert {name for family in FAMILIES.values() for name in family.MODEL_TYPES} == opened


def test_fixtures_stay_small(case):
    files = (FOLDER / "fixtures" / case).iterdir()
    assert sum(path.stat().st_size for path in files) < 300_000


def test_the_outputs_are_those_of_the_reference(case, model, results):
    inputs, outputs = expected(case)
    found = results(model, inputs)
    assert outputs.keys() <= found.keys()
    for key, array in outputs.items():
        where = mask_of(inputs) if array.ndim == 3 else ...
        np.testing.assert_allclose(found[key][where], array[where], atol=1e-4, rtol=1e-4)


def test_out_again_the_tensors_are_the_same_bit_for_bit(case, model, tmp_path, stored_tensors):
    checkpoints.save_pretrained(model, tmp_path / "out", format="huggingface")
    written = stored_tensors(tmp_path / "out")
    stored = stored_tensors(FOLDER / "fixtures" / case)
    prefix = of_model(model).PREFIX
    bare = {name.removeprefix(prefix): array for name, array in stored.items()}
    assert {name.removeprefix(prefix) for name in written} == bare.keys()
    for name, array in written.items():
        np.testing.assert_array_equal(array, bare[name.removeprefix(prefix)])


def test_out_again_the_configuration_says_the_same(case, model, tmp_path):
    checkpoints.save_pretrained(model, tmp_path / "out", format="huggingface")
    again = checkpoints.open_checkpoint(tmp_path / "out")
    assert again.model().config == model.config
    assert {"architectures", "model_type", "dtype"} <= again.config.keys()


def test_our_own_format_keeps_every_weight(case, model, tmp_path):
    checkpoints.save_pretrained(model, tmp_path / "out")
    again = checkpoints.load_model(tmp_path / "out")
    assert type(again) is type(model) and again.config == model.config
    for one, other in zip(again.weights, model.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_missing_surplus_and_misshaped_tensors_are_listed_in_one_error(
    case, copy_of, stored_tensors
):
    names = sorted(stored_tensors(FOLDER / "fixtures" / case))
    weights = [name for name in names if name.endswith("weight") and "pooler" not in name]
    first, second, third = weights[:3]
    shapes = {name: array.shape for name, array in stored_tensors(copy_of(case)).items()}
    broken = copy_of(case, tensors={second: MISSHAPED, "extra.weight": MISSHAPED}, without=[first])
    with pytest.raises(ValueError, match="`source` must hold the model's weights") as caught:
        checkpoints.load_model(broken)
    lines = {line.strip() for line in str(caught.value).splitlines()}
    assert f"shape    {second} (2, 1, 3), expected {shapes[second]}" in lines
    assert "surplus  extra.weight (2, 1, 3)" in lines
    assert [line for line in lines if line.startswith("missing")] and third not in str(caught.value)


def test_the_sizes_of_a_case_are_not_the_defaults_and_differ(case, model):
    defaults = dataclasses.asdict(type(model.config)())
    sizes = {"vocab_size", "hidden_dim", "ffn_dim", "num_heads"} & defaults.keys()
    found = {key: getattr(model.config, key) for key in sizes}
    assert len({*found.values()}) == len(sizes) > 2
    assert not [key for key in sizes if found[key] == defaults[key]]


@pytest.mark.parametrize("case", ["bert", "llama", "t5"])  # one of each kind: they load alike
def test_a_model_takes_the_dtype_that_is_asked_for(case):
    model = checkpoints.load_model(FOLDER / "fixtures" / case, dtype="mixed_bfloat16")
    assert model.dtype_policy.name == "mixed_bfloat16"
    assert {str(weight.dtype) for weight in model.weights} == {"float32"}
