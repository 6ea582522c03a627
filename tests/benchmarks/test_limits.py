"""What a machine can do at most, as it is measured and told; no TensorFlow is loaded for that."""

import os
import pathlib
import runpy
import subprocess

LIMITS = runpy.run_path(str(pathlib.Path(__file__).parents[2] / "benchmarks" / "limits.py"))


def test_the_best_call_counts_but_not_the_first(monkeypatch):
    clock, lengths = [0.0], iter([1.0, 7.0, 3.0, 5.0])
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])

    def call():
        clock[0] += next(lengths)

    assert LIMITS["best_seconds"](call, calls=3) == 3.0
    assert next(lengths, None) is None


def test_rates_are_told_in_a_line():
    rates = {"float32": 151e9, "bfloat16": 302.4e9, "memory": 24.66e9}
    said = LIMITS["described"](rates)
    assert said == "products float32 151 GFLOP/s, bfloat16 302 GFLOP/s; memory read at 24.7 GB/s"


def test_rates_come_from_a_process_with_variables_that_were_not_set(monkeypatch):
    ran = []

    def run(command, env, check, capture_output):
        ran.append((command[1:], env))
        return subprocess.CompletedProcess(command, 0, stdout=b'{"memory": 5.0}')

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "3")
    rates = LIMITS["measured_apart"](TF_NUM_INTRAOP_THREADS="2", TF_ENABLE_ONEDNN_OPTS="1")
    ((script, option), env) = ran[0]
    assert rates == {"memory": 5.0}
    assert pathlib.Path(script).name == "limits.py" and option == "--json"
    assert env == {**os.environ, "TF_ENABLE_ONEDNN_OPTS": "1", "TF_NUM_INTRAOP_THREADS": "3"}
