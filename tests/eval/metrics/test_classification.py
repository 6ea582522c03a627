import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tflm.eval.metrics.classification import Accuracy, MatthewsCorrelation, confusion_matrix

sklearn = pytest.importorskip("sklearn.metrics", reason="needs pip install 'tflm[eval]'")

LABELS = ["负面", "中性", "正面"]
label = st.sampled_from(LABELS)
pairs = st.lists(st.tuples(label, label), min_size=2, max_size=40)


def columns(rows):
    return tuple(list(column) for column in zip(*rows, strict=True))


@pytest.mark.filterwarnings("ignore:A single label was found:UserWarning")  # by the reference
@settings(max_examples=40, deadline=None)
@given(pairs)
def test_scores_are_those_of_scikit_learn(rows):
    predicted, true = columns(rows)
    expected = sklearn.accuracy_score(true, predicted)
    assert Accuracy(LABELS).score(predicted, true).value == pytest.approx(expected)
    expected = sklearn.matthews_corrcoef(true, predicted)
    assert MatthewsCorrelation(LABELS).score(predicted, true).value == pytest.approx(expected)


@settings(max_examples=30, deadline=None)
@given(pairs, st.data())
def test_any_split_of_the_data_adds_up(rows, data):
    cut = data.draw(st.integers(1, len(rows) - 1))
    for metric in (Accuracy(LABELS), MatthewsCorrelation(LABELS)):
        whole = metric.score(*columns(rows))
        parts = [metric.statistics(*columns(part)) for part in (rows[cut:], rows[:cut])]
        assert metric.score_statistics(sum(part.sum(axis=0) for part in parts)) == whole
        assert metric.score_statistics(np.concatenate(parts)) == whole


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.sets(label), st.sets(label)), min_size=1, max_size=30),
)
def test_subset_accuracy_is_that_of_scikit_learn(rows):
    predicted, true = columns(rows)
    indicators = [
        [[one in found for one in LABELS] for found in side] for side in (true, predicted)
    ]
    expected = sklearn.accuracy_score(*map(np.array, indicators))
    score = Accuracy(LABELS, multi_label=True).score(predicted, true)
    assert score.value == pytest.approx(expected)
    assert score.signature == "labels:3|subset"


def test_probabilities_are_predictions_too():
    rows = [[0.1, 0.2, 0.7], [0.5, 0.3, 0.2]]
    assert Accuracy(LABELS).score(rows, ["正面", "中性"]).value == 0.5
    assert Accuracy(LABELS).score(np.array(rows), ["正面", "负面"]).value == 1


def test_the_confusion_matrix_is_that_of_scikit_learn():
    predicted, true = ["正面", "正面", "负面", "中性"], ["正面", "中性", "正面", "中性"]
    expected = sklearn.confusion_matrix(true, predicted, labels=LABELS)
    found = confusion_matrix(predicted, true, LABELS)
    assert found.tolist() == expected.tolist() == [[0, 0, 0], [0, 1, 1], [1, 0, 1]]


def test_one_true_label_only_has_correlation_0():
    assert MatthewsCorrelation(LABELS).score(["正面", "负面"], ["正面", "正面"]).value == 0


def test_no_example_is_refused():
    with pytest.raises(ValueError, match="`hypotheses` must hold at least one label"):
        Accuracy(LABELS).score([], [])
    with pytest.raises(ValueError, match="at least one example. Received: 0 examples"):
        Accuracy(LABELS).score_statistics(np.zeros(2))
    with pytest.raises(ValueError, match=r"one row each.* Received: shape=\(0, 2\)"):
        Accuracy(LABELS).score_statistics(np.zeros((0, 2)))


def test_values_are_printed_with_four_digits():
    score = Accuracy(LABELS).score(["正面", "正面", "负面"], ["正面", "正面", "正面"])
    assert score.format() == "Accuracy|labels:3 = 0.6667 (3 examples)"
