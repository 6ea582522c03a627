import io
import json

import pytest
from rich.console import Console

from tflm.eval.requirements import RequirementsNotMet
from tflm.tasks import evaluation
from tflm.tasks.evaluation import (
    answer_all,
    card_for_export,
    default_metrics,
    evaluate_model,
    read_pairs,
    score_for_export,
)


def shout(texts):
    """Answers a text in capitals; one of more than five characters was cut."""
    return [{"text": text.upper(), "truncated": len(text) > 5} for text in texts]


PAIRS = (["ein hund", "zwei katzen schlafen", "北京"], ["EIN HUND", "ZWEI KATZEN", "北京"])


def test_answers_come_in_the_order_of_the_texts_and_know_whether_they_were_cut():
    calls = []

    def predict(texts):
        calls.append(texts)
        return shout(texts)

    texts = [f"{'x' * (n % 7)}{n}" for n in range(600)]
    found = answer_all(predict, texts)
    assert found == [text.upper() for text in texts]
    assert [output.truncated for output in found] == [len(text) > 5 for text in texts]
    assert [len(call) for call in calls] == [256, 256, 88]
    lengths = [len(text) for call in calls for text in call]
    assert lengths == sorted(lengths)


@pytest.mark.parametrize("name", ["label", "answer"])
def test_other_tasks_call_their_answer_otherwise(name):
    assert answer_all(lambda texts: [{name: "正面", "score": 0.5}], ["很好"]) == ["正面"]
    with pytest.raises(ValueError, match="one of text, label, answer. Received: ids, score"):
        answer_all(lambda texts: [{"ids": [3], "score": 0.5}], ["很好"])


def test_long_work_says_how_far_it_is(monkeypatch):
    monkeypatch.setattr(evaluation, "_SECONDS_BETWEEN_LINES", -1.0)
    lines = Console(file=io.StringIO(), force_terminal=False)
    answer_all(shout, ["text"] * 600, lines)
    assert lines.file.getvalue() == "256 of 600 texts answered\n512 of 600 texts answered\n"
    bar = Console(file=io.StringIO(), force_terminal=True, width=80)
    answer_all(shout, ["text"] * 600, bar)
    assert "answering" in bar.file.getvalue()


def test_pairs_are_read_and_swapped(tmp_path):
    (tmp_path / "test.tsv").write_text("one\teins\ntwo\tzwei\n")
    assert read_pairs(tmp_path, "test", ("en", "de")) == (["one", "two"], ["eins", "zwei"])
    swapped = read_pairs(tmp_path / "test.tsv", "", ("", ""), swap=True)
    assert swapped == (["eins", "zwei"], ["one", "two"])
    (tmp_path / "empty.tsv").touch()
    with pytest.raises(ValueError, match="`data` must hold at least one pair. Received: .*empty"):
        read_pairs(tmp_path / "empty.tsv", "", ("", ""))


def test_a_model_is_scored_with_the_metrics_and_baselines_of_its_task(monkeypatch):
    monkeypatch.setattr(evaluation, "open_predictor", lambda location: shout)
    report, metrics = evaluate_model("runs/m/", *PAIRS, ("en", "zh"), baseline=True, data="three")
    assert tuple(metric.name for metric in metrics) == default_metrics("translation")
    assert report.task == "translation en-zh"
    assert report.settings == {"model": "m"}
    assert "tok:zh" in report["bleu"].signature
    assert report.hypotheses[1] == "ZWEI KATZEN SCHLAFEN"
    assert report.baselines[0].name == "copy_source"
    report, _ = evaluate_model("m", *PAIRS, ("en", "zh"), metrics=["truncated", "rouge1"])
    assert [score.name for score in report.scores] == ["truncated", "rouge1"]
    assert report["truncated"].value == pytest.approx(2 / 3)


def test_what_is_required_is_computed_and_must_be_met(tmp_path):
    report = score_for_export(shout, PAIRS, "zh", ["chrf>=10", "rouge1>0.5"], data="three")
    assert {"bleu", "chrf", "ter", "rouge1"} <= {score.name for score in report.scores}
    assert (report.data, report.target_language) == ("three", "zh")
    with pytest.raises(RequirementsNotMet, match="ter<=1  NOT MET: TER"):
        score_for_export(shout, PAIRS, "zh", ["chrf>=10", "ter<=1"])
    path = tmp_path / "pairs.tsv"
    path.write_text("ein hund\tEIN HUND\n")
    assert score_for_export(shout, path, "de").data == "pairs.tsv"
    with pytest.raises(ValueError, match="`metric` must be one of .*metric='meteor'"):
        score_for_export(shout, PAIRS, "zh", ["meteor>=10"])
    with pytest.raises(ValueError, match="`target_language` must be given"):
        score_for_export(shout, PAIRS, "")
    with pytest.raises(ValueError, match="`require` must be a metric, one of"):
        score_for_export(shout, PAIRS, "zh", ["bleu"])


def test_requirements_need_data():
    with pytest.raises(ValueError, match="`evaluate_on` must be given with `require`.*bleu>=3 and"):
        card_for_export(None, require=["bleu>=3"])


def test_an_exported_task_carries_its_card(trained_task, toy_pairs, tmp_path):
    pairs = tuple(zip(*toy_pairs[:9], strict=True))
    path = trained_task.export(
        tmp_path,
        evaluate_on=pairs,
        target_language="de",
        require=["bleu>=0", "ter<=1000"],
        data="nine toys",
        training={"seed": 3},
    )
    card = json.loads((path / "assets.extra" / "model_card.json").read_text(encoding="utf-8"))
    assert card["task"] == "Translation"
    assert card["model"]["architecture"] == "transformer"
    assert card["model"]["parameters"] == trained_task.model.count_params()
    assert card["model"]["strategy"]["num_beams"] == 3
    assert card["limits"]["max_source_length"] == 20
    assert card["limits"]["max_length"] == 40
    assert card["training"] == {"seed": 3}
    assert card["evaluation"]["data"] == "nine toys"
    assert card["evaluation"]["num_examples"] == 9
    assert card["evaluation"]["required"] == ["bleu>=0", "ter<=1000"]
    bleu = card["evaluation"]["scores"][0]
    assert bleu["signature"].startswith("nrefs:1|case:mixed")
    assert bleu["interval"]["level"] == 0.95
    assert {"tflm", "tensorflow", "keras", "sacrebleu"} <= set(card["versions"])


def test_a_task_that_falls_short_leaves_nothing_behind(trained_task, toy_pairs, tmp_path):
    pairs = tuple(zip(*toy_pairs[:5], strict=True))
    with pytest.raises(RequirementsNotMet, match="bleu>=101  NOT MET: BLEU"):
        trained_task.export(
            tmp_path / "new", evaluate_on=pairs, target_language="de", require=["bleu>=101"]
        )
    assert not list(tmp_path.iterdir())


def test_a_version_that_exists_is_refused_before_the_work(trained_task, tmp_path):
    (tmp_path / "1").mkdir()
    with pytest.raises(FileExistsError, match="`version` must not exist yet"):
        trained_task.export(tmp_path, 1, evaluate_on="nothing.tsv", target_language="de")
