import subprocess
import sys

import pytest

import tflm.eval


def test_every_public_name_exists():
    assert [name for name in tflm.eval.__all__ if not hasattr(tflm.eval, name)] == []
    assert tflm.eval.GenerateAndScore.__name__ == "GenerateAndScore"


def test_importing_the_package_imports_neither_keras_nor_tensorflow():
    code = "import sys, tflm.eval; print({'keras', 'tensorflow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'tflm.eval' has no attribute 'METEOR'"):
        _ = tflm.eval.METEOR
