"""The training comparison without its libraries: batches, turns, ratios, what is wanted."""

import argparse
import dataclasses
import importlib
import json
import pathlib
import sys

import numpy as np
import pytest

BENCHMARKS = pathlib.Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def training():
    """The module, which imports its neighbours as scripts do."""
    path = list(sys.path)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module("training")
    sys.path[:] = path
    for name in ("training", "training_work", "environments", "rounds", "sides"):
        sys.modules.pop(name, None)


@pytest.fixture
def running(training, monkeypatch):
    """Stands for the processes; holds how many were there at a time."""
    alive, most = [], []

    class Stub:
        def __init__(self, work, steps, settings, environments):
            self.name = " ".join(map(str, settings.values()))
            self.info = {"name": self.name, "versions": {}}
            self.mib = 300 if settings["library"] == "tflm" else 200

        def __enter__(self):
            alive.append(self.name)
            most.append(list(alive))
            return self

        def __exit__(self, *_):
            alive.remove(self.name)

        def run(self):
            return {}

        def peak_bytes(self):
            return self.mib * 2**20

    def time_rounds(calls, rounds, pause):
        assert pause
        for call in calls.values():
            call()
        return {name: [2.0 + 3.0 * name.endswith("True")] * rounds for name in calls}

    monkeypatch.setattr(training, "side", Stub)
    monkeypatch.setattr(training, "time_rounds", time_rounds)
    rates = {"float32": 100e9, "bfloat16": 200e9, "memory": 10e9}
    monkeypatch.setattr(training.limits, "measured_apart", lambda **variables: rates)
    return most


@pytest.fixture
def options(training):
    return argparse.Namespace(
        peers=list(training.PEERS), alive=3, rounds=2, environments=None, leave_out=[]
    )


@pytest.mark.parametrize("name", ["tiny", "base", "bert", "gpt2"])
def test_batches_are_the_same_at_each_call_and_padded_on_one_side_only(training, name):
    work = dataclasses.replace(training.WORKS[name], rows=5)
    module = sys.modules["training_work"]
    (x, y, weight), second = module.batches(work, 2)
    again, _ = module.batches(work, 2)
    assert np.array_equal(again[1], y)
    assert not np.array_equal(second[1], y)
    assert weight.shape == y.shape and weight.all()
    assert weight.size == work.units
    mask = x.get("encoder_padding_mask", x.get("padding_mask"))
    lengths = mask.sum(axis=1)
    assert (lengths >= work.length * 3 // 4).all()
    assert np.array_equal(mask, np.arange(work.length) < lengths[:, None])
    ids = x.get("encoder_token_ids", x.get("token_ids"))
    assert (ids[mask] > 0).all() and (ids < work.vocab_size).all() and not ids[~mask].any()
    if name != "bert":
        shifted = x.get("decoder_token_ids", x["token_ids"] if name == "gpt2" else None)
        assert np.array_equal(shifted[:, 1:], y[:, :-1])


def test_the_work_of_an_update_is_two_for_each_weight_and_token_three_times(training):
    sizes = {"rows": 3, "length": 5, "layers": 2, "hidden_dim": 8, "ffn_dim": 12, "vocab_size": 50}
    of_block = 4 * 8**2 + 2 * 8 * 12 + 2 * 5 * 8
    cross = 4 * 8**2 + 2 * 5 * 8
    for name, of_token in {
        "bert": 2 * of_block,
        "gpt2": 2 * of_block + 50 * 8,
        "tiny": 2 * (2 * of_block + cross) + 50 * 8,
    }.items():
        work = dataclasses.replace(training.WORKS[name], **sizes)
        assert work.flops == 6 * 3 * 5 * of_token


def test_ours_takes_turns_with_every_setting_of_a_peer_and_few_are_alive(
    training, running, options
):
    work = training.WORKS["tiny"]
    sides = training.compare(work, 4, options)
    assert max(map(len, running)) == options.alive
    assert all(names[0] == "tflm default" for names in running)
    assert len(sides) == 2 + 2 + 4
    slow = sides["KerasHub float32 True"]
    assert slow["ratio"] == pytest.approx(2.5)
    assert slow["per_second"] == pytest.approx(4 * 4096 / 5.0)
    assert slow["flops"] == pytest.approx(4 * work.flops / 5.0)
    groups = -(-(len(sides) - 1) // (options.alive - 1))
    assert len(sides["tflm default"]["seconds"]) == groups * options.rounds


def test_settings_are_left_out_but_not_a_whole_peer(
    training, running, options, monkeypatch, capsys
):
    options.leave_out = ["Hugging Face bfloat16", "KerasHub mixed_bfloat16"]
    sides = training.compare(training.WORKS["tiny"], 4, options)
    assert [name for name in sides if "16" in name] == []
    assert len(sides) == 2 + 1 + 2
    names = ["Hugging Face float32", "Hugging Face bfloat16"]
    monkeypatch.setattr(sys, "argv", ["training.py", "--leave-out", *names])
    with pytest.raises(SystemExit):
        training.main()
    assert "must leave a setting of each peer" in capsys.readouterr().err


def test_the_fastest_setting_of_a_peer_is_judged_and_so_is_memory(training, running, options):
    work = training.WORKS["tiny"]
    sides = training.compare(work, 4, options)
    huggingface, memory, keras_hub = training.judge("tiny", sides, options.peers)
    assert (huggingface["value"], huggingface["wanted"]) == (1.0, 1.3)
    assert memory["value"] == pytest.approx(1.5)
    assert (keras_hub["value"], keras_hub["wanted"]) == (1.0, 2.0)
    assert not any(each["met"] for each in (huggingface, memory, keras_hub))
    _, unasked = training.judge("gpt2", sides, options.peers)
    assert unasked["wanted"] is None and unasked["met"]


@pytest.mark.parametrize("check", [False, True])
def test_the_command_writes_its_results_and_fails_where_asked_to(
    training, running, monkeypatch, tmp_path, capsys, check
):
    path = tmp_path / "found.json"
    command = ["training.py", "--workloads", "base", "--peers", "KerasHub", "--out", str(path)]
    monkeypatch.setattr(sys, "argv", command + ["--check"] * check)
    with pytest.raises(SystemExit) as stopped:
        training.main()
    assert stopped.value.code == check
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found["workloads"]["base"]["targets"][0]["wanted"] == 3.0
    assert [each.name for each in tmp_path.iterdir()] == ["found.json"]
    said = capsys.readouterr().out
    assert "MISSED" in said
    flops = training.WORKS["base"].flops * training.STEPS["base"] / 2.0
    assert f"{flops / 100e9:.0%}" in said and "float32 100 GFLOP/s" in said
