import json
import os
import re
import signal

import numpy as np
import pytest


def test_training_shows_progress_and_scores(trained):
    out, done = trained
    assert re.search(r"epoch 1/2 .* loss \d+\.\d+ .* tokens/s .* ETA .* val_loss", done.out)
    assert re.search(r"epoch 2/2 .* val_bleu \d", done.out)
    assert re.search(r"updates an epoch, 2 epochs, float32, \d+ threads(, oneDNN)?\n", done.out)
    assert "Trained 2 epochs in 0:0" in done.out
    for text in ("beam", "greedy", "BLEU", "chrF", "TER", "number of examples: 7"):
        assert text in done.out
    assert (out / "report" / "beam" / "hypotheses.txt").is_file()
    assert json.loads((out / "run.json").read_text())["seed"] == 5


def test_what_cleaning_did_is_shown_and_written(trained):
    out, done = trained
    assert "Cleaning kept 100 of 100 examples.\n  whitespace: 0 changed, 0 dropped\n" in done.out
    counts = json.loads((out / "cleaning.json").read_text())
    assert counts["steps"][1]["step"] == "length:min=1,max=300,unit=characters"


def test_the_steps_of_cleaning_are_in_the_help(tflm):
    from tflm.data.cleaning import known_steps

    shown = tflm("train", "--help").out
    assert [name for name in known_steps() if name not in shown] == []


def test_skipped_lines_are_counted_and_shown_in_every_split(trained, folder):
    _, done = trained
    assert "Skipped 3 lines." in done.out
    assert f"{folder}/train.tsv: 1 x expected 2 columns." in done.out
    assert f"{folder}/test.tsv: 2 x expected text, found a blank." in done.out
    assert f"{folder}/train.tsv, line 3: expected 2 columns. Received: 1 columns" in done.out


def test_the_same_command_goes_on_after_an_interruption(
    tflm, trained, command, folder, tmp_path, monkeypatch
):
    from tflm.training.checkpoint import Checkpoint
    from tflm.training.files import load_tensors

    original = Checkpoint.on_train_batch_end
    step = np.random.default_rng().integers(1, 5)

    def interrupt(self, batch, logs=None):
        if self.step + 1 == step:
            os.kill(os.getpid(), signal.SIGINT)
        original(self, batch, logs)

    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    (data / "train.tsv").symlink_to(folder / "train.tsv")  # nothing to score saves time
    again = [*command, "--data", data, "--out", out]
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "on_train_batch_end", interrupt)
        done = tflm(*again)
    assert done.code == 130
    assert f"tflm: stopped after {step} updates; saved in {out}/checkpoint. Run" in done.err
    assert done.err.endswith("Run the same command to go on.\n")
    done = tflm(*again)
    assert done.code == 0, done.err
    assert f"Resuming after {step} updates." in done.out
    whole, ours = (
        load_tensors(each / "epochs" / "epoch-0002.safetensors")[0] for each in (trained[0], out)
    )
    for name, array in whole.items():
        np.testing.assert_allclose(ours[name], array, atol=1e-5, err_msg=name)


def test_a_malformed_line_is_named(tflm, command, folder, tmp_path):
    strict = [argument for argument in command if argument != "--skip-bad"]
    error = refused_late(tflm, *strict, "--out", tmp_path)
    assert error == f"tflm: {folder}/train.tsv, line 3: expected 2 columns. Received: 1 columns\n"
    assert not (tmp_path / "checkpoint").exists()


def refused_late(tflm, *arguments):
    """As `refused`, by a command that has already said something."""
    done = tflm(*arguments)
    assert done.code == 2
    return done.err


def test_another_run_in_the_same_directory_is_refused(refused, trained, command):
    out, _ = trained
    error = refused(*command, "--out", out, "--seed", 6, "--set", "dropout=0.4")
    assert "`out` must be a new directory or the same run. Received: dropout: 0.1 there" in error
    assert "0.4 now, seed: 5 there, 6 now" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["parsing"], r"`task` must be one of \[.*'translation'\]. Received: task='parsing'"),
        ([], r"`task` must be one of \[.*'translation'\], or a recipe must be .*neither"),
        (["--recipe", "foo"], r"`recipe` must be one of \[.*'multi30k_en_de'.*recipe='foo'"),
        (
            ["--recipe", "multi30k_en_de"],
            r"`data` must be a directory with .*train.en.gz.* no file",
        ),
        (
            ["--recipe", "multi30k_en_de", "--languages", "de-en"],
            r"`languages` must be left to the recipe. Received: 'de-en', recipe='multi30k_en_de'",
        ),
        (["translation"], r"`languages` must be two codes with a hyphen .*, en-de say.*''"),
        (
            ["translation", "--languages", "en-de"],
            r"`data` must hold train.en and train.de, train.tsv or",
        ),
    ],
)
def test_what_cannot_be_trained_is_refused(refused, arguments, message, tmp_path):
    error = refused("train", "--data", tmp_path, "--out", tmp_path / "run", *arguments)
    assert re.search(message, error)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "transformer/huge"], r"one of \['transformer/tiny'.*'transformer/huge'"),
        (["--model", "rnn/tiny"], r"one of .*'transformer'.*, a slash and a preset.*'rnn/tiny'"),
        (["--set", "foo=1"], r"`set` must name one of \[.*'warmup_steps'\]. Received: 'foo=1'"),
        (["--clean", "tidy"], r"`clean` must name one of \['control', .*Received: 'tidy'"),
        (["--set", "epochs=many"], r"`set` must give epochs a value of type int.*'epochs=many'"),
        (["--set", "epochs=0"], r"`epochs` must be at least 1. Received: epochs=0"),
        (["--set", "dropout=1"], r"`dropout` must be in \[0, 1\). Received: dropout=1.0"),
    ],
)
def test_unknown_models_and_settings_list_the_known_ones(
    refused, arguments, message, folder, tmp_path
):
    arguments = ["--data", folder, "--out", tmp_path / "run", "--languages", "en-de", *arguments]
    assert re.search(message, refused("train", "translation", *arguments))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("option", "value", "least"), [("--seed", -5, 0), ("--epochs", 0, 1)])
def test_numbers_below_their_least_are_refused(tflm, folder, tmp_path, option, value, least):
    arguments = ["--data", folder, "--out", tmp_path / "run", "--languages", "en-de"]
    done = tflm("train", "translation", *arguments, option, value)
    assert done.code == 2
    assert f"Invalid value for '{option}'" in done.err
    assert f"greater than or equal to {least}" in done.err
    assert not (tmp_path / "run").exists()
