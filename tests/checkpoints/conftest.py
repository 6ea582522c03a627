"""Small Hugging Face checkpoints, committed beside the tests."""

import json
import pathlib
import shutil

import numpy as np
import pytest
import safetensors.numpy

FIXTURES = pathlib.Path(__file__).parent / "fixtures"


@pytest.fixture
def fixture_directory():
    """A function: the directory of a fixture by name."""
    return lambda name: FIXTURES / name


@pytest.fixture
def copy_of(tmp_path):
    """A function: a copy of a fixture whose configuration and tensors are changed."""

    def copy(name, config=None, tensors=None, without=()):
        directory = tmp_path / f"copy_of_{name}"
        shutil.copytree(FIXTURES / name, directory, dirs_exist_ok=True)
        path = directory / "config.json"
        changed = {**json.loads(path.read_text(encoding="utf-8")), **(config or {})}
        path.write_text(json.dumps(changed), encoding="utf-8")
        stored = safetensors.numpy.load_file(directory / "model.safetensors")
        stored = {key: array for key, array in stored.items() if key not in without}
        safetensors.numpy.save_file({**stored, **(tensors or {})}, directory / "model.safetensors")
        return directory

    return copy


@pytest.fixture
def stored_tensors():
    """A function: the tensors of a directory's `model.safetensors`, read by the reference."""
    return lambda directory: safetensors.numpy.load_file(directory / "model.safetensors")


@pytest.fixture
def results():
    """A function: what a model of the zoo makes of a batch, as the fixtures name it."""

    def of(model, inputs):
        dtypes = {key: bool if key.endswith("mask") else "int32" for key in inputs}
        found = model({key: array.astype(dtypes[key]) for key, array in inputs.items()})
        if "encoder_token_ids" in inputs or hasattr(model, "decode"):
            return {"logits": np.asarray(found)}
        pooled = {"pooled": np.asarray(model.pooled(found))} if model.config.pooler else {}
        return {"hidden": np.asarray(found), **pooled}

    return of
