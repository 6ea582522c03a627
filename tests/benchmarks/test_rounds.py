"""Rounds in which every side runs, in turn."""

import pathlib
import runpy

import pytest

ROUNDS = runpy.run_path(str(pathlib.Path(__file__).parents[2] / "benchmarks" / "rounds.py"))


def test_sides_run_in_turn_after_warming_up(monkeypatch, capsys):
    called, slept = [], []
    monkeypatch.setattr("time.sleep", slept.append)
    sides = {name: lambda name=name: called.append(name) for name in "ab"}
    seconds = ROUNDS["time_rounds"](sides, rounds=3, warmups=2, pause=0.25)
    assert "".join(called) == "aabb" + 3 * "ab"
    assert slept == [0.25] * 6
    assert {name: len(times) for name, times in seconds.items()} == {"a": 3, "b": 3}
    assert min(min(times) for times in seconds.values()) >= 0.0
    assert "round 3/3" in capsys.readouterr().out


def test_a_ratio_is_the_median_of_the_rounds_ratios():
    assert ROUNDS["median_ratio"]([2.0, 9.0, 8.0], [1.0, 3.0, 2.0]) == 3.0
    with pytest.raises(ValueError, match="shorter"):
        ROUNDS["median_ratio"]([1.0, 2.0], [1.0])
