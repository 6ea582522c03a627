import json
import os
import re
import signal
import subprocess
import sys
import types

import numpy as np
import pytest

from tflm.cli import chunks, one_line
from tflm.export import saved_model_file

SETTINGS = {
    "vocab_size": 310,
    "tokens_per_batch": 256,
    "max_length": 48,
    "warmup_steps": 10,
    "average_last": 2,
    "score_every": 2,
    "beam": 2,
    "dtype": "float32",
}


@pytest.fixture(scope="module")
def folder(toy_pairs, tmp_path_factory):
    """Splits of which two have bad lines: no tab in the third of "train", blanks in "test"."""
    folder = tmp_path_factory.mktemp("data")
    lines = [f"{source}\t{target}\n" for source, target in toy_pairs]
    splits = {
        "train": [*lines[:2], "no tab\n", *lines[2:100]],
        "valid": lines[100:112],
        "test": [*lines[112:119], "one\t \n", " \teins\n"],
    }
    for name, rows in splits.items():
        (folder / f"{name}.tsv").write_text("".join(rows))
    return folder


@pytest.fixture(scope="module")
def command(folder):
    """`tflm train` but for `--out`, with a preset small enough for a test."""
    from tflm.models.transformer import Config, Transformer

    arguments = [
        "train",
        "translation",
        "--data",
        folder,
        "--languages",
        "en-de",
        "--model",
        "transformer/nano",
    ]
    arguments += ["--epochs", 2, "--seed", 5, "--skip-bad"]
    arguments += ["--clean", "whitespace", "--clean", "length:max=300"]
    for name, value in SETTINGS.items():
        arguments += ["--set", f"{name}={value}"]
    layers = {"num_encoder_layers": 1, "num_decoder_layers": 1}
    with pytest.MonkeyPatch.context() as patch:
        nano = Config(hidden_dim=12, ffn_dim=20, num_heads=3, **layers)
        patch.setitem(Transformer.PRESETS, "nano", nano)
        yield arguments


@pytest.fixture(scope="module")
def trained(tflm, command, tmp_path_factory):
    """A run, and what the command printed."""
    out = tmp_path_factory.mktemp("runs") / "numbers"
    done = tflm(*command, "--out", out)
    assert done.code == 0, done.err
    return out, done


# train


def test_training_shows_progress_and_scores(trained):
    out, done = trained
    assert re.search(r"epoch 1/2 .* loss \d+\.\d+ .* tokens/s .* ETA .* val_loss", done.out)
    assert re.search(r"epoch 2/2 .* val_bleu \d", done.out)
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
    ],
)
def test_unknown_models_and_settings_list_the_known_ones(
    refused, arguments, message, folder, tmp_path
):
    arguments = ["--data", folder, "--out", tmp_path / "run", "--languages", "en-de", *arguments]
    assert re.search(message, refused("train", "translation", *arguments))
    assert not (tmp_path / "run").exists()


# evaluate


def test_a_run_is_scored_in_its_own_languages(tflm, trained, folder, tmp_path):
    run, _ = trained
    done = tflm("evaluate", run, "--data", folder, "--skip-bad", "--out", tmp_path)
    assert done.code == 0, done.err
    assert "Skipped 2 lines." in done.err
    for text in ("translation en-de", "BLEU", "tok:13a", "number of examples: 7"):
        assert text in done.out
    beam = (run / "report" / "beam" / "hypotheses.txt").read_text()
    assert (tmp_path / "hypotheses.txt").read_text() == beam


def test_a_saved_model_is_scored_on_a_file(tflm, refused, exported, folder, tmp_path):
    arguments = ["evaluate", exported, "--data", folder / "valid.tsv", "--json"]
    done = tflm(*arguments, "--languages", "en-zh", "--swap")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert report["num_examples"] == 12
    assert "tok:zh" in report["scores"][0]["signature"]
    _, german = (folder / "valid.tsv").read_text().splitlines()[0].split("\t")
    assert report["examples"][0]["source"] == german
    assert "`languages` must be given for a model that does not say its" in refused(*arguments)


def test_what_cannot_be_scored_is_refused(refused, exported, folder, tmp_path):
    (tmp_path / "empty.tsv").touch()
    languages = ["--languages", "en-de"]
    for arguments, message in (
        ([tmp_path / "gone", "--data", folder], "no directory"),
        ([exported, "--data", tmp_path / "empty.tsv", *languages], "at least one example"),
        ([exported, "--data", tmp_path / "gone.tsv", *languages], "a file or directory that exis"),
        ([exported, "--data", folder, *languages, "--labels", "a,b"], "`labels` must be left out"),
        (
            [exported, "--data", folder, *languages],
            "test.tsv, line 8: expected text, found a blank",
        ),
        ([tmp_path, "--data", folder / "valid.tsv", *languages], "`run` must be a directory of"),
    ):
        assert message in refused("evaluate", *arguments)


def write_lines(path, lines):
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


@pytest.fixture
def files(tmp_path):
    """Hypotheses of two systems, references and sources, in Chinese."""
    return {
        "good": write_lines(tmp_path / "good.txt", ["我喜欢喝茶。", "他走了。", "两个人"]),
        "bad": write_lines(tmp_path / "bad.txt", ["茶。", "他。", ""]),
        "references": write_lines(tmp_path / "ref.zh", ["我喜欢喝茶。", "他离开了。", "两个男人"]),
        "sources": write_lines(tmp_path / "src.en", ["I like tea.", "He left.", "two men"]),
    }


def scoring(files, name="good"):
    arguments = ["evaluate", "--hypotheses", files[name], "--references", files["references"]]
    return [*arguments, "--sources", files["sources"], "--target-language", "zh"]


def test_a_file_is_scored_without_a_model_and_every_form_is_written(tflm, files, tmp_path):
    page = tmp_path / "page.html"
    metrics = ["--metric", "bleu", "--metric", "rouge"]
    done = tflm(*scoring(files), *metrics, "--baseline", "--out", tmp_path / "out", "--html", page)
    assert done.code == 0, done.err
    for text in ("BLEU", "tok:zh", "ROUGE", "the source, copied", "number of examples: 3"):
        assert text in done.out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "examples.jsonl",
        "hypotheses.txt",
        "report.html",
        "report.json",
        "report.md",
    ]
    assert page.read_bytes() == (tmp_path / "out" / "report.html").read_bytes()
    printed = tflm(*scoring(files), *metrics, "--baseline", "--markdown").out
    assert printed == (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert json.loads(tflm(*scoring(files), *metrics, "--baseline", "--json").out) == json.loads(
        (tmp_path / "out" / "report.json").read_text(encoding="utf-8")
    )


def test_a_page_needs_matplotlib_and_a_report_does_not(tflm, refused, files, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr("tflm.eval.plots.has_matplotlib", lambda: False)
    error = refused(*scoring(files), "--html", tmp_path / "page.html")
    assert "needs matplotlib, which is not installed: pip install 'tflm[eval]'" in error
    done = tflm(*scoring(files), "--metric", "chrf", "--out", tmp_path / "out")
    assert done.code == 0
    assert "no report.html without matplotlib" in done.err
    assert not (tmp_path / "out" / "report.html").exists()


def test_systems_are_compared_side_by_side(tflm, refused, files, tmp_path):
    for name in ("good", "bad"):
        tflm(*scoring(files, name), "--metric", "chrf", "--out", tmp_path / name)
    page = tmp_path / "page.html"
    reports = ["compare", tmp_path / "good", tmp_path / "bad", "--resamples", 50]
    done = tflm(*reports, "--html", page)
    assert done.code == 0, done.err
    assert re.search(r"chrF2.*good.*\n.*bad.* -\d", done.out)
    assert "paired bootstrap" in done.out
    assert "Comparison: good, bad" in page.read_text(encoding="utf-8")
    values = json.loads(tflm(*reports, "--json", "--test", "randomization").out)
    assert values["comparisons"][0]["test"] == "approximate randomization"
    assert values["comparisons"][0]["num_trials"] == 500
    lines = ["compare", files["good"], files["bad"], "--references", files["references"]]
    lines += ["--target-language", "zh", "--metric", "chrf", "--markdown", "--resamples", 50]
    assert "| chrF2 | good.txt |" in tflm(*lines).out
    error = refused("compare", tmp_path / "good", tmp_path / "bad", "--test", "sign")
    assert "`test` must be one of bootstrap, randomization. Received: test='sign'" in error
    assert "`systems` must be at least two" in refused("compare", tmp_path / "good")


def test_files_and_names_that_do_not_fit_are_refused(refused, files, tmp_path):
    hypotheses = ["evaluate", "--hypotheses", files["good"]]
    references = ["--references", files["references"]]
    for arguments, message in (
        (["evaluate"], "`model` must be given, or --hypotheses and --references"),
        ([*hypotheses, *references, "run"], "`model` must be given, or --hypotheses"),
        ([*hypotheses, *references], "`target_language` must be given, 'de' or 'zh' say"),
        ([*hypotheses, "--target-language", "zh"], "`references` must name at least one file"),
        ([*scoring(files), "--metric", "meteor"], "`metric` must be one of accuracy"),
        ([*scoring(files), "--task", "chess"], "`task` must be one of causal_lm, classification"),
        ([*scoring(files), "--json", "--markdown"], "`json` and `markdown` must not be given"),
        (["evaluate", "http://h/m", "--languages", "en-zh"], "`model` must be http://host:port"),
    ):
        assert message in refused(*arguments)


def test_scoring_files_loads_neither_tensorflow_nor_keras(files):
    code = (
        "import sys, atexit; from tflm.cli import main; atexit.register(lambda: "
        "print({'keras', 'tensorflow', 'torch'} & set(sys.modules))); main()"
    )
    arguments = [*map(str, scoring(files)), "--metric", "chrf", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith("set()\n")


# export and predict


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
    done = tflm(*scored, "--require", "ter<=100000")
    assert (done.code, done.out) == (0, f"{tmp_path / 'm' / '1'}\n")
    assert "bytes of weights, 1.00 of float32's; bleu " in done.err
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
    ):
        assert message in refused("export", tmp_path / "run", tmp_path / "m", *arguments)
    assert not (tmp_path / "m").exists()


@pytest.mark.slow
def test_a_task_is_exported_as_the_next_version(tflm, saved_task, tmp_path):
    model = tmp_path / "numbers"
    (model / "4").mkdir(parents=True)
    (tmp_path / "client.py").write_text("mine", encoding="utf-8")
    done = tflm("export", saved_task, model, "--signatures", "explain")
    assert (done.code, done.out) == (0, f"{model / '5'}\n")
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


def test_texts_are_answered_line_by_line(tflm, saved_task, exported, trained_task):
    texts = ["two three", "", "ten"]
    expected = "".join(f"{answer}\n" for answer in trained_task(texts))
    done = tflm("predict", saved_task, *texts)
    assert (done.code, done.out, done.err) == (0, expected, "")
    assert tflm("predict", exported, stdin=b"two three\r\n\nten").out == expected


def test_json_lines_say_all_about_an_answer(tflm, exported, trained_task):
    stdin = "one\u2028two\none \n".encode() + b"two \xff three\n" + b"five " * 30
    done = tflm("predict", exported, "--json", stdin=stdin)
    answers = [json.loads(line) for line in done.out.split("\n")[:-1]]
    texts = ["one\u2028two", "one ", "two \ufffd three", "five " * 30]
    found = trained_task.n_best(texts)
    assert [answer["text"] for answer in answers] == [texts[0] for texts in found["text"]]
    assert [answer["truncated"] for answer in answers] == found["truncated"]
    assert answers[3]["truncated"] is True
    assert all(answer["score"] < 0 for answer in answers)


def test_a_model_that_does_not_exist_is_named(refused, tmp_path):
    assert f"Received: {tmp_path}/gone" in refused("predict", tmp_path / "gone", "text")


def test_an_answer_is_one_line():
    assert one_line("a\nb\u2028c\r\nd") == "a b c d"
    assert one_line("") == ""


def test_lines_are_answered_in_chunks():
    assert list(chunks(iter("abcdefg"), 3)) == [["a", "b", "c"], ["d", "e", "f"], ["g"]]
    assert list(chunks([], 3)) == []


def test_lines_before_a_bad_one_are_answered():
    def lines():
        yield from "abcd"
        raise ValueError("line 5")

    found = chunks(lines(), 3)
    assert [next(found), next(found)] == [["a", "b", "c"], ["d"]]
    with pytest.raises(ValueError, match="line 5"):
        next(found)


# models and help


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


def test_a_checkpoint_is_converted_and_back(tflm, refused, repository, tmp_path):
    fixture = repository / "tests" / "checkpoints" / "fixtures" / "bert"
    done = tflm("convert", fixture, tmp_path / "ours")
    assert done.code == 0 and f"{tmp_path / 'ours'}: Bert, 0.0 M parameters" in done.out
    done = tflm("convert", tmp_path / "ours", tmp_path / "theirs", "--to", "huggingface")
    assert done.code == 0
    config = json.loads((tmp_path / "theirs" / "config.json").read_text(encoding="utf-8"))
    assert (config["model_type"], config["vocab_size"]) == ("bert", 41)
    (tmp_path / "pickled").mkdir()
    (tmp_path / "pickled" / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "pickled" / "pytorch_model.bin").touch()
    assert "can run any program" in refused("convert", tmp_path / "pickled", tmp_path / "out")
    assert "'onnx'" in refused("convert", fixture, tmp_path / "out", "--to", "onnx")
    assert not (tmp_path / "out").exists()


def test_the_zoo_is_listed(tflm, monkeypatch):
    zoo = json.loads(tflm("models", "--json").out)
    monkeypatch.setattr("tflm.models.presets", lambda: zoo)  # counting takes its time
    done = tflm("models")
    assert done.code == 0
    assert re.search(r"transformer/base\s.*6\+6\s.*512\s.*2,048\s.*8\s.*37,000", done.out)
    rows = {row["name"]: row for row in zoo}
    assert rows["transformer/tiny"]["hidden_dim"] == 128
    assert rows["transformer/big"]["parameters"] > rows["transformer/base"]["parameters"] > 5e7
    assert rows["bert/base"]["opens"] == ["bert", "BertBackbone"]
    assert {"llama", "mistral", "qwen2", "qwen3"} <= set(rows["llama/llama2_7b"]["opens"])
    assert rows["transformer/base"]["opens"] == []
    assert re.search(r"^bert +bert, BertBackbone", done.out, re.MULTILINE)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("train", ["--recipe", "--set", "--skip-bad", "Run again after an interruption"]),
        ("evaluate", ["--languages", "--swap", "--labels", "--hypotheses", "signatures"]),
        ("compare", ["--references", "--test", "--resamples", "significance"]),
        ("export", ["--version", "--require", "SavedModel"]),
        ("predict", ["--json", "--skip-bad", "standard input", "text_pair"]),
        ("check", ["--target", "--static", "--json", "TF Serving"]),
        ("models", ["--json", "parameter counts"]),
    ],
)
def test_every_command_explains_itself(tflm, command, words):
    done = tflm(command, "--help")
    assert done.code == 0
    for word in words:
        assert word in done.out
    assert command in tflm("--help").out


def test_a_wrong_option_is_an_error_of_its_own(tflm):
    done = tflm("train", "--epoch", 3)
    assert done.code == 2
    assert "--epoch" in done.err
