"""A side of a comparison waits, runs when it is told, and says how it ended."""

import pathlib
import runpy
import sys

import pytest

BENCHMARKS = pathlib.Path(__file__).resolve().parents[2] / "benchmarks"
SIDES = runpy.run_path(str(BENCHMARKS / "sides.py"))
ECHO = """
import json, sys
from sides import serve_rounds
print("a library's own line")
settings = json.loads(sys.argv[1])

def run(times=1, fail=False):
    print("half a line", end=" ")
    if fail:
        raise OverflowError("太大")
    return settings["word"] * times

serve_rounds(run, {"version": 7})
"""


@pytest.fixture
def side(tmp_path):
    script = tmp_path / "echo.py"
    script.write_text(ECHO, encoding="utf-8")

    def make(word, **options):
        return SIDES["Side"]("echo", [sys.executable, str(script)], {"word": word}, **options)

    return make


def test_a_round_gives_what_the_script_returned_and_its_seconds(side):
    with side("字") as running:
        assert running.info == {"version": 7}
        first, second = running.run(), running.run(times=3)
    assert (first["result"], second["result"]) == ("字", "字字字")
    assert 0.0 <= first["seconds"] < 60.0


def test_a_script_that_fails_is_told_with_what_it_wrote(side):
    with side("a") as running:
        with pytest.raises(RuntimeError, match=r"(?s)echo ended with 1:.*OverflowError: 太大"):
            running.run(fail=True)
        with pytest.raises(RuntimeError, match="echo ended with 1"):
            running.run()


def test_a_script_that_never_starts_is_told(tmp_path):
    missing = [sys.executable, str(tmp_path / "missing.py")]
    with pytest.raises(RuntimeError, match="(?s)none ended with 2:.*missing.py"):
        with SIDES["Side"]("none", missing, {}):
            pass


def test_the_environment_is_the_one_given_and_finds_the_modules(side):
    assert SIDES["script_environment"]({"A": "1"}) == {"A": "1", "PYTHONPATH": str(BENCHMARKS)}
    with side("b", env={"PATH": ""}) as running:
        assert running.run()["result"] == "b"


@pytest.mark.skipif(not pathlib.Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_the_most_memory_is_known_while_it_runs(side):
    with side("c") as running:
        assert 1e6 < running.peak_bytes() < 1e9
    assert running.peak_bytes() == 0
