import pytest

from tflm.eval.catalog import (
    labels_of,
    metric_names,
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


def test_the_language_chooses_tokenizers_and_definitions():
    bleu, rouge, exact = metrics_named(["bleu", "rouge1", "exact_match"], "zh")
    assert "tok:zh" in bleu.score(["北京"], ["北京"]).signature
    assert rouge.score(["北京"], ["北方"]).value == 0.5
    assert "cmrc" in exact.score(["北京"], ["北京"]).signature
    (exact,) = metrics_named(["exact_match"], "en")
    assert "squad:1.1" in exact.score(["Bern"], ["Bern"]).signature


def test_every_task_has_metrics():
    for task in task_names():
        assert metrics_named(task_metric_names(task), "de", ["a", "b"])
    assert task_metric_names("translation") == ("bleu", "chrf", "ter")


def test_groups_are_spread_and_nothing_comes_twice():
    found = names(metrics_named(["rouge2", "rouge", "chrf", "rouge"], "en"))
    assert found == ["rouge2", "rouge1", "rougeL", "chrf"]


def test_unknown_names_list_the_known_ones():
    with pytest.raises(ValueError, match="`metric` must be one of accuracy, .*metric='meteor'"):
        metrics_named(["meteor"], "en")
    with pytest.raises(ValueError, match="`task` must be one of classification,.*task='chess'"):
        task_metric_names("chess")


def test_labels_are_those_that_occur():
    assert labels_of(["正面", ("负面", "正面")]) == ("正面", "负面")
