import dataclasses
import json
import pathlib

import pytest

from tflm.eval.baselines import baselines_for
from tflm.eval.catalog import metrics_named
from tflm.eval.evaluation import evaluate
from tflm.eval.metrics.bleu import BLEU
from tflm.eval.metrics.calibration import BrierScore
from tflm.eval.metrics.classification import Accuracy
from tflm.eval.metrics.labels import Label
from tflm.eval.metrics.lengths import Output, TruncatedShare
from tflm.eval.metrics.perplexity import ScoredText
from tflm.eval.metrics.squad2 import Answer, Squad2F1
from tflm.eval.metrics.ter import TER
from tflm.eval.printing import unescape_line
from tflm.eval.reports import Example, Report, SystemScores

SOURCES = ["Where is <the> | park?", "two\nlines", "C:\\new", "What is `this`?", "end"]
REFERENCES = [["公园在哪里？", "公园在哪儿？"], "两行", "新的", "这是什么？", "结束"]
HYPOTHESES = ["公园在哪里?", "两\n行", "C:\\新\\n", "", "这是\r什么"]


@pytest.fixture
def report():
    return evaluate(
        HYPOTHESES,
        SOURCES,
        REFERENCES,
        [BLEU("zh"), TER("zh")],
        task="translation",
        data="five sentences, en-zh",
        settings={"strategy": "Beam(num_beams=4)", "alpha": 0.6, "note": "a|b"},
        num_resamples=30,
        num_shown=3,
    )


def test_a_written_report_reads_back_the_same(report, tmp_path):
    report.write(tmp_path / "run" / "report")
    assert Report.read(tmp_path / "run" / "report") == report


def test_the_same_report_is_the_same_bytes(report, tmp_path):
    report.write(tmp_path / "first")
    report.write(tmp_path / "second")
    for name in ("report.json", "report.md", "hypotheses.txt", "examples.jsonl"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_four_files_are_written_and_nothing_else(report, tmp_path):
    report.write(tmp_path)
    report.write(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "examples.jsonl",
        "hypotheses.txt",
        "report.json",
        "report.md",
    ]


def test_a_hypothesis_is_a_line(report, tmp_path):
    report.write(tmp_path)
    lines = (tmp_path / "hypotheses.txt").read_text(encoding="utf-8").splitlines()
    assert lines == ["公园在哪里?", "两\\n行", "C:\\\\新\\\\n", "", "这是\\r什么"]
    assert [unescape_line(line) for line in lines] == HYPOTHESES


@pytest.mark.parametrize(
    "fails_at", ["report.json", "report.md", "hypotheses.txt", "examples.jsonl"]
)
def test_a_failed_write_leaves_the_earlier_report(report, tmp_path, monkeypatch, fails_at):
    report.write(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    write_text = pathlib.Path.write_text

    def full_disk(path, *args, **kwargs):
        if fails_at in path.name:
            raise OSError("No space left on device")
        return write_text(path, *args, **kwargs)

    monkeypatch.setattr(pathlib.Path, "write_text", full_disk)
    other = evaluate(["x"], None, ["y"], [BLEU("de")], num_resamples=0)
    with pytest.raises(OSError, match="No space left"):
        other.write(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_settings_that_json_cannot_hold_leave_the_earlier_report(report, tmp_path):
    report.write(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    other = evaluate(["x"], None, ["y"], [BLEU("de")], settings={"a": object()}, num_resamples=0)
    with pytest.raises(TypeError, match="not JSON serializable"):
        other.write(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_json_carries_scores_with_settings_and_readable_text(report):
    text = report.to_json()
    values = json.loads(text)
    assert values["num_examples"] == 5
    assert [score["name"] for score in values["scores"]] == ["bleu", "ter"]
    assert values["scores"][0]["signature"].startswith("nrefs:var|case:mixed|eff:no|tok:zh")
    assert values["scores"][0]["interval"]["num_resamples"] == 30
    assert "公园在哪里？" in text
    assert values["examples"][1]["hypothesis"] == "两\n行"


def test_markdown_has_a_row_for_each_score_and_quotes_nothing_wrongly(report):
    lines = report.to_markdown().splitlines()
    assert lines[0] == "# Evaluation: translation"
    assert lines[2] == "Data: five sentences, en-zh"
    assert lines[4] == "Number of examples: 5"
    rows = [line for line in lines if line.startswith(("| BLEU", "| TER (lower is better)"))]
    assert len(rows) == 2
    assert all(line.replace("\\|", "").count("|") == 5 for line in rows)
    assert f"| {report['bleu'].value:.2f} |" in rows[0]
    assert "at 95 %" in rows[0]
    assert r"| note | a\|b |" in lines
    assert "    source      Where is <the> | park?" in lines
    assert lines.count("    reference   公园在哪儿？") == 1
    assert "    hypothesis  两\\n行" in lines


def test_markdown_of_a_bare_report_has_no_empty_sections():
    report = evaluate(["x"], None, ["x"], [BLEU("de")], num_resamples=0, num_shown=0)
    lines = report.to_markdown().splitlines()
    assert lines[:3] == ["# Evaluation", "", "Number of examples: 1"]
    assert not [line for line in lines if line.startswith("##")]


def test_the_terminal_table_shows_every_score_within_its_width(report):
    text = report.to_text(width=90)
    assert f"{report['bleu'].value:.2f}" in text
    assert "TER (lower is better)" in text
    assert "number of examples: 5" in text
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 90
    assert text == report.to_text(width=90)


def test_numbers_stay_whole_beside_long_names(report):
    scores = tuple(report.scores)
    label = "the surer guess from the left or the right neighbour of each word"
    system = SystemScores(name="guess", label=label, scores=scores)
    text = dataclasses.replace(report, baselines=(system,)).to_text(width=80)
    assert text.count(f"{report['bleu'].value:.2f}") >= 2
    assert text.count(" at 95 %") == 4
    assert max(map(len, text.splitlines())) <= 80


def test_brackets_in_a_description_are_text():
    report = evaluate(["x"], None, ["x"], [BLEU("de")], data="[bold]test[/]", num_resamples=0)
    assert "[bold]test[/]" in report.to_text()


def test_an_example_shows_every_reference():
    example = Example("a", "b", ("c", "d"))
    assert example.format(indent=" ") == (
        " source      a\n hypothesis  b\n reference   c\n reference   d"
    )
    assert Example("", "b", ("c",)).format() == "hypothesis  b\nreference   c"


def test_an_unknown_score_lists_the_known_ones(report):
    with pytest.raises(KeyError, match="`name` must be one of bleu, ter. Received: name='rouge'"):
        report["rouge"]


def test_examples_are_lines_of_json_with_everything(report, tmp_path):
    report.write(tmp_path)
    lines = (tmp_path / "examples.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["source"] for row in rows] == SOURCES
    assert [row["hypothesis"] for row in rows] == HYPOTHESES
    assert rows[0]["references"] == REFERENCES[0]
    assert "公园" in lines[0]


def test_outputs_still_know_whether_they_were_cut(tmp_path):
    outputs = [Output("eins", truncated=True), Output("zwei", truncated=False)]
    report = evaluate(outputs, None, ["eins", "drei"], [TruncatedShare()], num_resamples=0)
    report.write(tmp_path)
    found = Report.read(tmp_path)
    assert [output.truncated for output in found.hypotheses] == [True, False]
    assert found == report


def test_labels_still_know_their_probabilities(tmp_path):
    labels = ("负面", "正面")
    guesses = [Label("正面", {"负面": 0.2, "正面": 0.8}), Label("负面", {"负面": 1.0, "正面": 0.0})]
    metrics = [Accuracy(labels), BrierScore(labels)]
    report = evaluate(guesses, None, ["正面", "正面"], metrics, num_resamples=0)
    report.write(tmp_path)
    found = Report.read(tmp_path)
    assert [guess.probabilities for guess in found.hypotheses] == [g.probabilities for g in guesses]
    assert found == report
    references = found.given_references()
    assert metrics[1].score(found.hypotheses, references).value == report["brier"].value


def test_answers_still_know_the_probability_of_none(tmp_path):
    answers, references = [Answer("Bern", 0.25), Answer("", 0.75)], [["Bern", "in Bern"], []]
    report = evaluate(answers, None, references, [Squad2F1()], num_resamples=0)
    report.write(tmp_path)
    found = Report.read(tmp_path)
    assert [answer.no_answer_probability for answer in found.hypotheses] == [0.25, 0.75]
    assert found == report


def test_a_report_of_the_first_release_is_read(report, tmp_path):
    report.write(tmp_path)
    (tmp_path / "examples.jsonl").unlink()
    values = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    del values["baselines"], values["target_language"]
    (tmp_path / "report.json").write_text(json.dumps(values), encoding="utf-8")
    found = Report.read(tmp_path)
    assert (found.references, found.sources, found.baselines) == ((), (), ())
    assert found.scores == report.scores


def test_a_folder_without_a_report_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="`directory` must be a report, which `tflm eval"):
        Report.read(tmp_path)
    (tmp_path / "report.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match=r"must be a report.* without hypotheses\.txt"):
        Report.read(tmp_path)


def test_baselines_stand_beside_the_system_in_every_form(tmp_path):
    report = evaluate(
        HYPOTHESES,
        SOURCES,
        REFERENCES,
        [BLEU("zh")],
        num_resamples=20,
        baselines=baselines_for("translation"),
    )
    (copied,) = report.baselines
    assert copied["bleu"].value == BLEU("zh").score(SOURCES, REFERENCES).value
    lines = report.to_markdown().splitlines()
    assert "## Baselines" in lines
    assert any(line.startswith("| the source, copied | 0.") for line in lines)
    assert "BLEU, the source, copied" in report.to_text(120)
    assert json.loads(report.to_json())["baselines"][0]["name"] == "copy_source"
    report.write(tmp_path)
    assert Report.read(tmp_path) == report


def test_likelihoods_are_lines_of_a_file_of_their_own(report, tmp_path):
    texts = (ScoredText(-2.5, 3, 1, 4, 12), ScoredText(float("-inf"), 2, 2, 5, 5))
    scored = dataclasses.replace(report, likelihoods=texts)
    scored.write(tmp_path)
    assert Report.read(tmp_path) == scored
    assert len((tmp_path / "likelihoods.jsonl").read_text().splitlines()) == 2
    report.write(tmp_path)
    assert not (tmp_path / "likelihoods.jsonl").exists()


def test_several_labels_read_back_as_they_were(tmp_path):
    metrics = metrics_named(["accuracy"], "", ("好, 旧", "新"), multi_label=True)
    report = evaluate([["好, 旧", "新"], []], list("甲乙"), [["新"], ["新"]], metrics)
    report.write(tmp_path)
    found = Report.read(tmp_path)
    assert found == report and found.has_label_sets
    assert found.given_hypotheses() == [("好, 旧", "新"), ()]
    assert found.given_references() == [("新",), ("新",)]
