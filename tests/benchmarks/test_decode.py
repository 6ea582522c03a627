"""The decoding comparison with sides that pretend: what is timed, checked and written."""

import argparse
import importlib
import json
import pathlib
import sys

import pytest

BENCHMARKS = pathlib.Path(__file__).resolve().parents[2] / "benchmarks"
MODULES = ("decode", "decode_cells", "decode_report", "decode_sides")
MODULES = (*MODULES, "environments", "limits", "rounds", "sides")


@pytest.fixture(scope="module")
def decode():
    """The script as a module, which imports its neighbours."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module("decode")
    for name in MODULES:
        sys.modules.pop(name, None)


class Pretended:
    """A side that takes as long as it is told, on a clock of its own."""

    def __init__(self, seconds, clock):
        self.seconds, self.clock, self.batches = seconds, clock, []

    def run(self, batch):
        self.batches.append(batch)
        self.clock[0] += self.seconds


def test_a_side_twice_as_slow_as_its_library_is_timed_once(decode, monkeypatch, capsys):
    clock, slept = [0.0], []
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])
    monkeypatch.setattr("time.sleep", slept.append)
    times = {
        "tflm default": 9.0,
        "tflm bfloat16": 1.0,
        "KerasHub float32": 8.0,
        "KerasHub float32 XLA": 3.5,
        "KerasHub bfloat16": 4.0,
    }
    sides = {name: Pretended(seconds, clock) for name, seconds in times.items()}
    found = decode.time_cell(sides, batch=3, rounds=4)
    assert found == {
        name: [seconds] * (1 if name == "KerasHub float32" else 4)
        for name, seconds in times.items()
    }
    assert sides["tflm default"].batches == [3] * 5  # once to warm up
    assert set(slept) == {decode.PAUSE} and len(slept) == 17
    assert "warmed up KerasHub bfloat16: 4.0 s" in capsys.readouterr().out


def test_float32_sides_must_write_the_same_greedily(decode):
    ours = [[1, 2], [3, 4], [5, 6], [7, 8]]
    other = [[1, 2], [3, 4], [5, 6], [8, 7]]
    answers = {"tflm default": ours, "Hugging Face bfloat16": other, "CTranslate2 float32": ours}
    equal = decode.check_answers(answers, greedy=True)
    assert equal == {"tflm default": 4, "Hugging Face bfloat16": 3, "CTranslate2 float32": 4}
    answers["CTranslate2 float32"] = other
    assert decode.check_answers(answers, greedy=False)["CTranslate2 float32"] == 3
    with pytest.raises(RuntimeError, match=r"must write the same tokens.*\n.*\nCTranslate2.*8, 7"):
        decode.check_answers(answers, greedy=True)


def test_a_network_that_does_not_read_is_refused(decode):
    answers = {"tflm float32": [[1, 2]] * 4, "CTranslate2 float32": [[1, 2]] * 4}
    with pytest.raises(RuntimeError, match="and others for other rows"):
        decode.check_answers(answers, greedy=True)
    assert decode.check_answers({"tflm bfloat16": [[1, 2]] * 4}, greedy=True) == {}


def test_results_take_the_place_of_old_ones(decode, tmp_path):
    path = tmp_path / "results.json"
    path.write_text("old", encoding="utf-8")
    decode.write({"cells": {"字": 1}, "options": argparse.Namespace(rounds=7)}, path)
    assert json.loads(path.read_text()) == {"cells": {"字": 1}, "options": {"rounds": "7"}}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--rounds", "1"], "--rounds must be at least 2"),
        (["--cells", "gpt2/257/greedy"], "a batch of at most 256"),
        (["--peers", "fairseq"], "invalid choice: 'fairseq'"),
        (["--leave-out", "CTranslate2 int4"], "invalid choice: 'CTranslate2 int4'"),
        (
            ["--leave-out", "CTranslate2 int8", "CTranslate2 float32"],
            "--leave-out must leave a side of each peer. Received: none of CTranslate2",
        ),
    ],
)
def test_a_wrong_command_line_is_refused(decode, monkeypatch, capsys, given, said):
    monkeypatch.setattr(sys, "argv", ["decode.py", *given])
    with pytest.raises(SystemExit, match="2"):
        decode.parsed()
    assert said in " ".join(capsys.readouterr().err.split())


def test_the_command_explains_itself(decode, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["decode.py", "--help"])
    with pytest.raises(SystemExit, match="0"):
        decode.parsed()
    said = " ".join(capsys.readouterr().out.split())
    for word in ("PIP_EXTRA_INDEX_URL", "marian/128/beam4", "gpt2/32/greedy", "--check"):
        assert word in said


def test_sides_of_a_peer_that_does_not_run_may_all_be_left_out(decode, monkeypatch):
    left_out = ["CTranslate2 int8", "CTranslate2 float32"]
    given = ["--leave-out", *left_out, "--peers", "KerasHub"]
    monkeypatch.setattr(sys, "argv", ["decode.py", *given])
    options = decode.parsed()
    assert options.leave_out == left_out and options.peers == ["KerasHub"]


@pytest.mark.parametrize("peer", ["Hugging Face", "CTranslate2", "KerasHub"])
def test_a_side_that_is_left_out_is_not_started(decode, tmp_path, monkeypatch, peer):
    started = []

    class Started:
        info = {"version": "1"}

        def __init__(self, name, command, settings):
            started.append((name, settings["dtype"], settings.get("jit_compile")))

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def peak_bytes(self):
            return 7

    sides = importlib.import_module("decode_sides")
    monkeypatch.setattr(sides, "Side", Started)
    monkeypatch.setattr(sides, "environment", lambda name, folder: folder / name)
    settings = importlib.import_module("decode_cells").SETTINGS[peer]
    left_out = f"{peer} {settings[-1]}"
    options = argparse.Namespace(ours=[], environments=tmp_path, leave_out=[left_out])
    network = importlib.import_module("decode_cells").NETWORKS["gpt2"]
    (tmp_path / "ctranslate2").mkdir()
    about = {"versions": {}, "peak_bytes": {}}
    with sides.Sides(network, 1, [], tmp_path, options).running(peer, about) as running:
        assert list(running) == [name for name, *_ in started]
    xla = {"float32": False, "float32 XLA": True, "bfloat16": False}
    assert started == [
        (f"{peer} {name}", name.split()[0], xla[name] if peer == "KerasHub" else None)
        for name in settings[:-1]
    ]
    assert about["peak_bytes"] == dict.fromkeys(running, 7)


def test_a_script_that_cannot_write_its_model_is_told(decode, tmp_path, monkeypatch):
    network = importlib.import_module("decode_cells").NETWORKS["gpt2"]
    options = argparse.Namespace(ours=["default"], environments=tmp_path)
    sides = importlib.import_module("decode_sides").Sides(network, 1, [], tmp_path, options)
    with pytest.raises(RuntimeError, match="(?s)missing.py failed:.*missing.py"):
        sides.make(sys.executable, "missing.py")
