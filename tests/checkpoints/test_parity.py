"""The transformers library on PyTorch opens what we write, and computes what we compute."""

import dataclasses
import json
import pathlib
import runpy

import numpy as np
import pytest

from tflm import checkpoints
from tflm.checkpoints.families import of_model_type

pytestmark = pytest.mark.parity
FOLDER = pathlib.Path(__file__).parent
CASES = sorted(path.stem for path in (FOLDER / "cases").glob("*.json"))


@pytest.fixture(scope="module")
def script():
    """The functions of the script that writes the fixtures."""
    pytest.importorskip("torch", reason="needs pip install 'tflm[parity]'")
    pytest.importorskip("transformers", reason="needs pip install 'tflm[parity]'")
    return runpy.run_path(str(FOLDER / "make_fixtures.py"))


def assert_same(found, expected, mask):
    for key, array in expected.items():
        where = mask if array.ndim == 3 else ...
        np.testing.assert_allclose(found[key][where], array[where], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", CASES)
def test_weights_come_in_and_go_out_again(name, script, tmp_path, results):
    theirs = script["reference"](name, seed=11)
    script["save"](theirs, tmp_path / "theirs")
    given = script["inputs"](name, seed=12)
    kind, mask = script["case"](name)["kind"], script["mask_of"](given)
    expected = script["outputs"](theirs, kind, given)
    assert np.abs(next(iter(expected.values()))[mask]).max() > 0.5
    ours = checkpoints.load_model(tmp_path / "theirs")
    assert_same(results(ours, given), expected, mask)
    checkpoints.save_pretrained(ours, tmp_path / "ours", format="huggingface", shard_bytes=5000)
    assert len(list((tmp_path / "ours").glob("*.safetensors"))) > 1
    again, notes = type(theirs).from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(notes.values()), notes
    assert_same(script["outputs"](again.eval(), kind, given), expected, mask)


@pytest.mark.parametrize("name", CASES)
def test_every_option_is_read_refused_or_known_to_change_nothing(name, script):
    """Changes one option after another: our config differs, or there is an error."""
    import transformers

    case = script["case"](name)
    cls = getattr(transformers, case["class"]).config_class
    base = json.loads(cls(**case["config"]).to_json_string(use_diff=False))
    family = of_model_type(cls.model_type)
    options = {field.name for field in dataclasses.fields(cls)}
    options -= {field.name for field in dataclasses.fields(transformers.PreTrainedConfig)}
    options |= {"is_decoder", "add_cross_attention", "tie_word_embeddings"} & base.keys()
    expected = family.config_from_huggingface(base, ())
    silent = set()
    for option in sorted(options - {*case["changes_nothing"]}):
        try:
            found = family.config_from_huggingface({**base, option: other(base[option])}, ())
        except ValueError:
            continue
        if found == expected:
            silent.add(option)
    assert not silent


def other(value):
    """A value of the same type that is not this one."""
    if value is None or isinstance(value, (str, list, dict)):
        return "something else"
    return not value if isinstance(value, bool) else value + type(value)(1)
