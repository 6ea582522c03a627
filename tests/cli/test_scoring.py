import json
import re
import subprocess
import sys

import pytest


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
