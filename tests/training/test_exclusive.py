import subprocess
import sys

import pytest

from tflm.training.exclusive import exclusive

HOLDS = """
import sys
from tflm.training.exclusive import exclusive
with exclusive(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_directory_is_held_once_and_let_go(tmp_path):
    with exclusive(tmp_path):
        with pytest.raises(ValueError, match=f"`out` must be a directory in .*: {tmp_path}, where"):
            with exclusive(tmp_path):
                raise AssertionError("held twice")
    with exclusive(tmp_path):
        assert list(tmp_path.iterdir()) == []


def test_a_process_that_is_killed_lets_go(tmp_path):
    command = [sys.executable, "-c", HOLDS, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match="nothing else is training"), exclusive(tmp_path):
            raise AssertionError("held twice")
        holder.kill()
        holder.wait()
        with exclusive(tmp_path):
            assert holder.returncode < 0
