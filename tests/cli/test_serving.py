import json
import re
import types

import pytest

from tflm import machine
from tflm.export import saved_model_file
from tflm.tasks import fastest


def test_a_model_that_falls_short_is_not_exported(tflm, trained, folder, tmp_path, monkeypatch):
    run, _ = trained
    scored = ["export", run, tmp_path / "m", "--data", folder / "valid.tsv"]
    done = tflm(*scored, "--require", "bleu>=101", "--require", "ter<=100000")
    assert done.code == 3
    assert done.out == ""
    assert "tflm: the model falls short, nothing was written\n" in done.err
    assert re.search(r"bleu>=101  NOT MET: BLEU\|nrefs:1.* = \d+\.\d\d \[", done.err)
    assert "ter<=100000  met: TER" in done.err
    assert not (tmp_path / "m").exists()
    (tmp_path / "m").mkdir()
    written = {}

    def save(module, signatures, directory, version, extra, warmup):
        written.update(extra)
        assets = directory / "1" / "assets.extra"
        assets.mkdir(parents=True)
        (assets / "model_card.json").write_text(extra["model_card.json"], "utf-8")
        return directory / "1"

    monkeypatch.setattr("tflm.tasks.base.save", save)  # which has tests of its own
    monkeypatch.setattr("tflm.export.write_bundle", lambda _: types.SimpleNamespace(kept=[]))
    done = tflm(*scored, "--require", "ter<=100000", "--dtype", "float32")
    assert (done.code, done.out) == (0, f"{tmp_path / 'm' / '1'}\n")
    assert "bytes of weights, 1.00 of float32's; bleu " in done.err
    assert "was chosen" not in done.err
    card = json.loads(written["model_card.json"])
    assert card["training"]["seed"] == 5
    assert card["training"]["clean"][0] == "whitespace"
    assert card["training"]["cleaning"]["kept"] == 100
    assert card["evaluation"]["num_examples"] == 12
    assert card["evaluation"]["data"] == "valid.tsv"


def test_requirements_that_cannot_be_checked_are_refused_at_once(refused, tmp_path):
    for arguments, message in (
        (["--require", "bleu"], "`require` must be a metric, one of >=, <=, >, <, and a number"),
        (["--require", "bleu>=3"], "`data` must be given with `require`. Received: bleu>=3"),
        (["--dtype", "int4"], "`dtype` must be one of auto, float32, bfloat16, int8, w8a8. Rec"),
    ):
        assert message in refused("export", tmp_path / "run", tmp_path / "m", *arguments)
    assert not (tmp_path / "m").exists()


@pytest.mark.slow
def test_a_task_is_exported_as_the_next_version(tflm, saved_task, tmp_path, monkeypatch):
    model = tmp_path / "numbers"
    (model / "4").mkdir(parents=True)
    (tmp_path / "client.py").write_text("mine", encoding="utf-8")
    monkeypatch.setattr(machine, "multiplies_int8", lambda: True)
    monkeypatch.setattr(fastest, "_LEAST_WIDTH", 1)
    done = tflm("export", saved_task, model, "--signatures", "explain")
    assert (done.code, done.out) == (0, f"{model / '5'}\n")
    assert "tflm: --dtype w8a8 was chosen, for the processor has dot products" in done.err
    checked = tflm("check", model)
    assert checked.code == 0
    assert "warning  targets            Its card asks for TF Serving 2.17 or newer" in checked.out
    assert tflm("check", model, "--static", "--target", "2.16").code == 1
    assert set(saved_model_file.read(model / "5").signatures()) == {"serving_default", "explain"}
    assert f"{tmp_path / 'client.py'} differs from what would be written, and is kept" in done.err
    assert (model / "5" / "saved_model.pb").is_file()
    assert sorted(path.name for path in model.iterdir()) == ["4", "5", "requests"]
    assert 'name: "numbers"' in (tmp_path / "models.config").read_text(encoding="utf-8")


def test_what_cannot_be_exported_is_refused(refused, saved_task, tmp_path):
    (tmp_path / "4").mkdir()
    error = refused("export", saved_task, tmp_path, "--version", 4)
    assert f"`version` must not exist yet. Received: {tmp_path / '4'}" in error
    assert "`run` must be a directory of `tflm train`" in refused("export", tmp_path, tmp_path)
    error = refused("export", saved_task, tmp_path, "--signatures", "tell")
    assert "`signatures` must be 'all' or some of serving_default, n_best, score" in error
    assert [path.name for path in tmp_path.iterdir()] == ["4"]


def test_a_saved_model_is_checked_rule_by_rule(tflm, exported):
    done = tflm("check", exported, "--static")
    assert done.code == 0
    rules = [line.split()[1] for line in done.out.splitlines()]
    assert rules[:3] == ["operations", "attributes", "python"]
    assert "all in TF Serving 2.12 to 2." in done.out
    done = tflm("check", exported, "--static", "--target", "2.19", "--json")
    first = json.loads(done.out.splitlines()[0])
    assert (first["rule"], first["status"]) == ("operations", "ok")
    assert first["message"].endswith("all in TF Serving 2.19.")


def test_a_saved_model_that_no_server_takes_is_status_one(tflm, tmp_path):
    import tensorflow as tf

    spec = tf.TensorSpec([None], tf.float32, name="x")
    serve = tf.function(lambda x: {"y": tf.reduce_sum(x)}, input_signature=[spec])
    tf.saved_model.save(tf.Module(), str(tmp_path), signatures={"serving_default": serve})
    done = tflm("check", tmp_path, "--static")
    assert done.code == 1
    assert "failure  batch_dimension    Output y of signature serving_default is a sc" in done.out


def test_what_cannot_be_checked_is_refused(refused, exported, tmp_path):
    assert "`directory` must hold saved_model.pb" in refused("check", tmp_path)
    assert "`target` must be one of 2.12, " in refused("check", exported, "--target", "1.15")
