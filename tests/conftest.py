"""Fixtures every test may use. Importing this file imports no TensorFlow."""

import os
import pathlib
import random
import sys

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # read once, when TensorFlow is first imported

ROOT = pathlib.Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def seed() -> int:
    """Every test starts from the same random state; only libraries already imported are seeded."""
    value = 20170612
    random.seed(value)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(value)
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(value)
    return value


@pytest.fixture(scope="session")
def repository() -> pathlib.Path:
    """The root of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> pathlib.Path:
    """The folder of public data sets: `$TFLM_DATA`, else `../shared/data` beside the checkout."""
    folder = pathlib.Path(os.environ.get("TFLM_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no data sets in {folder}; set TFLM_DATA to a folder that holds them")
    return folder
