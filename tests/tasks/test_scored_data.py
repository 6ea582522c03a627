import pytest

from tflm.tasks.scored_data import ScoredData, sides


def test_a_task_has_its_metrics_unless_the_data_has_others():
    data = ScoredData("question_answering", [("谁？", "安")], [["安"]], language="zh")
    assert data.metric_names() == ("exact_match", "f1")
    assert "cmrc" in data.metrics_named(data.metric_names())[0].score(["安"], [["安"]]).signature
    other = ScoredData("question_answering", [("谁？", "安")], [[]], metrics=("f1_squad2",))
    assert other.metric_names() == ("f1_squad2",)


def test_the_title_names_the_languages():
    assert ScoredData("translation", ["a"], ["b"], languages="en-zh").title == "translation en-zh"
    assert ScoredData("classification", ["a"], ["b"]).title == "classification"


def test_labels_are_the_model_s_or_those_that_occur():
    data = ScoredData("classification", ["a", "b"], ["负面", "正面"])
    (metric,) = data.metrics_named(["accuracy"], ["中性", "正面"])
    assert set(metric.labels) == {"正面", "负面", "中性"}
    known = ScoredData("classification", ["a"], ["负面"], labels=("正面", "负面"))
    assert known.metrics_named(["accuracy"])[0].labels == ("正面", "负面")
    wrong = ScoredData("classification", ["a", "b"], ["负面", "neg"], labels=("正面", "负面"))
    with pytest.raises(ValueError, match=r"among the labels 正面, 负面. .*references\[1\]='neg'"):
        wrong.metrics_named(["accuracy"])


def test_several_labels_a_text_have_their_own_metrics():
    labels = ("体育", "政治", "科技")
    data = ScoredData("classification", ["a"], [["体育"]], reads="label sets", labels=labels)
    accuracy, f1 = data.metrics_named(["accuracy", "f1_micro"])
    assert "subset" in accuracy.score([["体育", "政治"]], [["体育"]]).signature
    assert f1.score([["体育", "政治"]], [["体育"]]).value == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="must be one that reads label sets: .*metric='mcc'"):
        data.metrics_named(["mcc"])


def test_examples_are_rows_or_both_sides():
    expected = (["a", "b"], ["甲", "乙"])
    assert sides((("a", "b"), ("甲", "乙"))) == expected
    assert sides(iter([("a", "甲"), ("b", "乙")])) == expected
