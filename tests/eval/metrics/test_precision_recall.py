import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tflm.eval.metrics.precision_recall import F1, Precision, Recall

sklearn = pytest.importorskip("sklearn.metrics", reason="needs pip install 'tflm[eval]'")

LABELS = ["负面", "中性", "正面", "unused"]
METRICS = {"precision": Precision, "recall": Recall, "f1": F1}
label = st.sampled_from(LABELS[:3])
pairs = st.lists(st.tuples(label, label), min_size=2, max_size=40)
set_pairs = st.lists(st.tuples(st.sets(label), st.sets(label)), min_size=2, max_size=30)


def columns(rows):
    return tuple(list(column) for column in zip(*rows, strict=True))


def indicators(sets):
    return np.array([[int(one in found) for one in LABELS] for found in sets])


@pytest.mark.parametrize("average", ["macro", "micro", "weighted"])
@settings(max_examples=20, deadline=None)
@given(rows=pairs, sets=set_pairs)
def test_scores_are_those_of_scikit_learn(average, rows, sets):
    reference = sklearn.precision_recall_fscore_support
    options = {"average": average, "zero_division": 0.0}
    predicted, true = columns(rows)
    expected = reference(true, predicted, labels=LABELS, **options)
    for metric, value in zip(METRICS.values(), expected, strict=False):
        found = metric(LABELS, average=average).score(predicted, true)
        assert found.value == pytest.approx(value)

    predicted, true = columns(sets)
    expected = reference(indicators(true), indicators(predicted), **options)
    for metric, value in zip(METRICS.values(), expected, strict=False):
        found = metric(LABELS, average=average, multi_label=True).score(predicted, true)
        assert found.value == pytest.approx(value)


@settings(max_examples=20, deadline=None)
@given(pairs, st.data())
def test_any_split_of_the_data_adds_up(rows, data):
    metric = F1(LABELS)
    cut = data.draw(st.integers(1, len(rows) - 1))
    parts = [metric.statistics(*columns(part)) for part in (rows[cut:], rows[:cut])]
    whole = metric.score(*columns(rows))
    assert metric.score_statistics(sum(part.sum(axis=0) for part in parts)) == whole
    assert metric.score_statistics(np.concatenate(parts)) == whole


def test_one_label_alone_can_be_the_score():
    predicted, true = ["正面", "正面", "负面"], ["正面", "负面", "负面"]
    score = F1(["负面", "正面"], positive="正面").score(predicted, true)
    assert score.value == pytest.approx(sklearn.f1_score(true, predicted, pos_label="正面"))
    assert (score.name, score.label) == ("f1_正面", "F1 (正面)")
    assert score.signature == "label:正面|labels:2"
    assert score.components["precision"] == 0.5
    assert score.components["recall"] == 1


def test_components_are_those_of_each_label():
    predicted, true = ["正面", "正面", "负面"], ["正面", "负面", "负面"]
    components = F1(LABELS).score(predicted, true).components
    assert components["precision:正面"] == 0.5
    assert components["recall:负面"] == 0.5
    assert components["f1:unused"] == 0
    assert (components["examples:负面"], components["examples:unused"]) == (2, 0)
    assert components["f1"] == pytest.approx(F1(LABELS).score(predicted, true).value)


def test_names_tell_the_average():
    assert [METRICS[part](LABELS, average="micro").name for part in METRICS] == [
        "precision_micro",
        "recall_micro",
        "f1_micro",
    ]
    assert F1(LABELS, name="f1").score(["正面"], ["正面"]).label == "F1 (macro)"


def test_unknown_settings_list_the_known_ones():
    with pytest.raises(ValueError, match="macro, micro, weighted. Received: average='binary'"):
        F1(LABELS, average="binary")
    with pytest.raises(
        ValueError, match="`positive` must be one of 负面, .*Received: positive='好'"
    ):
        F1(LABELS, positive="好")
