"""Environments of the libraries that ours is compared with: made once, whole or not at all."""

import pathlib
import runpy
import subprocess

import pytest

BENCHMARKS = pathlib.Path(__file__).resolve().parents[2] / "benchmarks"
SCRIPT = runpy.run_path(str(BENCHMARKS / "environments.py"))
environment = SCRIPT["environment"]


@pytest.fixture
def commands(monkeypatch):
    """What is run, instead of running it; `venv` leaves an interpreter, and pip may fail."""
    found = []

    def run(command, check):
        found.append(command)
        if "venv" in command:
            interpreter = pathlib.Path(command[-1]) / "bin" / "python"
            interpreter.parent.mkdir(parents=True, exist_ok=True)
            interpreter.touch()
        elif found.count(command) == 1 and "ctranslate2==4.8.*" in command:
            raise subprocess.CalledProcessError(1, command)

    monkeypatch.setattr(subprocess, "run", run)
    return found


def test_it_is_made_once(commands, tmp_path):
    made = environment("torch", tmp_path)
    assert made == tmp_path / "torch" / "bin" / "python"
    assert ["venv" in commands[0], "torch==2.13.0" in commands[1]] == [True, True]
    assert environment("torch", tmp_path) == made
    assert len(commands) == 2


def test_one_that_pip_did_not_finish_is_made_anew(commands, tmp_path):
    with pytest.raises(subprocess.CalledProcessError, match="exit status 1"):
        environment("ctranslate2", tmp_path)
    environment("ctranslate2", tmp_path)
    assert len(commands) == 4
    assert "--clear" in commands[2]


def test_a_link_to_another_is_used_as_it_is(commands, tmp_path):
    own = tmp_path / "own" / "bin"
    own.mkdir(parents=True)
    (own / "python").touch()
    (tmp_path / "torch").symlink_to(own.parent)
    assert environment("torch", tmp_path) == tmp_path / "torch" / "bin" / "python"
    assert not commands


def test_an_unknown_name_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"`name` must be one of .*torch.*Received: 'jax'"):
        environment("jax", tmp_path)
