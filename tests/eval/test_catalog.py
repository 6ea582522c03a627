import pytest

from tflm.eval import Label
from tflm.eval.catalog import (
    check_reads,
    labels_of,
    metric_names,
    metrics_for,
    metrics_named,
    task_metric_names,
    task_names,
)


def names(found):
    return [metric.name for metric in found]


def test_every_name_makes_metrics_that_are_called_so():
    for name in metric_names():
        found = names(metrics_named([name], "zh", ["正面", "负面"]))
        assert found == [name] or len(found) > 1, name
        assert names(metrics_named([*found, name], "zh", ["正面", "负面"])) == found


def test_some_metrics_compare_sets_of_labels():
    found = metrics_named(["accuracy", "f1_weighted"], "", ["正面", "负面"], multi_label=True)
    assert names(found) == ["accuracy", "f1_weighted"]
    assert found[0].score([["正面", "负面"], []], [["负面", "正面"], ["正面"]]).value == 0.5
    with pytest.raises(ValueError, match="must be one that reads label sets: accuracy.*'auroc'"):
        metrics_named(["auroc"], "", ["正面", "负面"], multi_label=True)


def test_the_language_chooses_tokenizers_and_definitions():
    bleu, rouge, exact = metrics_named(["bleu", "rouge1", "exact_match"], "zh")
    assert "tok:zh" in bleu.score(["北京"], ["北京"]).signature
    assert rouge.score(["北京"], ["北方"]).value == 0.5
    assert "cmrc" in exact.score(["北京"], ["北京"]).signature
    (exact,) = metrics_named(["exact_match"], "en")
    assert "squad:1.1" in exact.score(["Bern"], ["Bern"]).signature


def test_every_task_has_the_metrics_of_its_names():
    for task in task_names():
        assert names(metrics_for(task, "de", ["a", "b"])) == list(task_metric_names(task))
    assert task_metric_names("translation") == ("bleu", "chrf", "ter")


@pytest.mark.parametrize(
    "language, bleu, rouge, asian", [("de", "13a", "unicode", "no"), ("zh", "zh", "unicode", "yes")]
)
def test_the_language_reaches_the_metrics_of_a_task(language, bleu, rouge, asian):
    scores = [metric.score(["a b"], ["a b"]) for metric in metrics_for("translation", language)]
    assert f"case:mixed|eff:no|tok:{bleu}" in scores[0].signature
    assert f"asian:{asian}" in scores[2].signature
    summary = metrics_for("summarization", language)[0].score(["a b"], ["a b"])
    assert f"tok:{rouge}" in summary.signature


def test_without_a_language_rouge_looks_at_the_text_and_bleu_is_refused():
    (rouge,) = metrics_named(["rouge1"], "")
    assert "tok:unicode" in rouge.score(["北京"], ["北京"]).signature
    assert "tok:rouge_score" in rouge.score(["Bern"], ["Bern"]).signature
    assert names(metrics_for("classification", "", ["a", "b"]))
    with pytest.raises(ValueError, match="`target_language` must be given, 'de' or 'zh' say"):
        metrics_for("translation", "")


def test_metrics_of_likelihoods_are_told_from_those_of_texts():
    check_reads(task_metric_names("causal_lm"), "likelihoods")
    for task in set(task_names()) - {"causal_lm"}:
        check_reads(task_metric_names(task), "texts")
    with pytest.raises(ValueError, match="must be one that reads texts: acc.*'perplexity'"):
        check_reads(["bleu", "perplexity"], "texts")
    with pytest.raises(ValueError, match="reads likelihoods: bits_per_byte, .*metric='rouge1'"):
        check_reads(["rouge"], "likelihoods")
    with pytest.raises(ValueError, match="`metric` must be one of .*metric='meteor'"):
        check_reads(["meteor"], "texts")


def test_groups_are_spread_and_nothing_comes_twice():
    found = names(metrics_named(["rouge2", "rouge", "chrf", "rouge"], "en"))
    assert found == ["rouge2", "rouge1", "rougeL", "rougeLsum", "chrf"]


def test_unknown_names_list_the_known_ones():
    with pytest.raises(ValueError, match="`metric` must be one of accuracy, .*metric='meteor'"):
        metrics_named(["meteor"], "en")
    with pytest.raises(ValueError, match="`task` must be one of causal_lm, .*task='chess'"):
        task_metric_names("chess")


def test_labels_are_those_that_occur():
    assert labels_of(["正面", ("负面", "正面")]) == ("正面", "负面")
    assert labels_of([Label("b", {"a": 0.0, "c": 0.3, "b": 0.7}), "d"]) == ("a", "b", "c", "d")
