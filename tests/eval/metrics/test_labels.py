import pickle

import numpy as np
import pytest

from tflm.eval.metrics.classification import Accuracy
from tflm.eval.metrics.labels import (
    Label,
    LabelSet,
    check_labels,
    check_probabilities,
    label_indices,
    label_sets,
    predicted_indices,
)
from tflm.eval.metrics.precision_recall import F1

LABELS = ("负面", "中性", "正面")


def test_labels_become_numbers_in_their_order():
    assert check_labels(list(LABELS)) == LABELS
    assert label_indices("references", ["正面", "负面"], LABELS).tolist() == [2, 0]


@pytest.mark.parametrize("labels", [["a"], ["a", "b", "a"]])
def test_labels_must_be_two_or_more_different_ones(labels):
    with pytest.raises(ValueError, match="two or more different labels. Received: labels="):
        check_labels(labels)


def test_one_label_will_do_where_an_example_may_have_none():
    assert check_labels(["toxic"], least=1) == ("toxic",)
    with pytest.raises(ValueError, match="one or more different labels. Received: labels=.'a', 'a"):
        check_labels(["a", "a"], least=1)
    given, right = [["toxic"], [], ["toxic"], []], [["toxic"], [], [], ["toxic"]]
    assert Accuracy(["toxic"], multi_label=True).score(given, right).value == 0.5
    assert F1(["toxic"], multi_label=True).score(given, right).value == 0.5


def test_labels_must_be_strings():
    with pytest.raises(TypeError, match=r"`labels\[1\]` must be a string. Received: 1 of type int"):
        check_labels(["a", 1])
    with pytest.raises(TypeError, match=r"`references\[0\]` must be a string"):
        label_indices("references", [2], LABELS)


def test_an_unknown_label_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"负面, 中性, 正面. Received: references\[1\]='好'"):
        label_indices("references", ["正面", "好"], LABELS)


def test_the_most_probable_label_is_predicted():
    rows = [[0.2, 0.5, 0.3], np.array([0.7, 0.2, 0.1], "float16")]
    assert predicted_indices(rows, LABELS).tolist() == [1, 0]
    assert predicted_indices(["中性", "正面"], LABELS).tolist() == [1, 2]


def test_a_label_is_a_string_that_knows_its_probabilities():
    label = Label("正面", {"负面": 0.25, "正面": 0.75})
    assert label == "正面" and isinstance(label, str)
    copy = pickle.loads(pickle.dumps(label))
    assert (copy, copy.probabilities) == (label, label.probabilities)
    rows = check_probabilities([label, Label("中性", {"中性": 1.0})], ("正面", "中性", "负面"))
    assert rows.tolist() == [[0.75, 0, 0.25], [0, 1, 0]]
    assert predicted_indices([label], ("负面", "正面")).tolist() == [1]


def test_probabilities_that_sum_to_1_are_left_as_they_are():
    row = [0.3, 0.3, 0.4 - 1e-9]
    assert sum(row) < 1
    assert check_probabilities([row], ("a", "b", "c")).tolist() == [row]


def test_a_label_without_probabilities_is_refused():
    with pytest.raises(ValueError, match="must hold probabilities, or labels that know theirs"):
        check_probabilities(["正面"], ("负面", "正面"))
    mixed = [Label("正面", {"正面": 1.0}), "负面"]
    with pytest.raises(ValueError, match=r"Label\(text, probabilities\)`. Received: \['正面'"):
        check_probabilities(mixed, ("负面", "正面"))


def test_half_precision_probabilities_are_made_to_sum_to_1():
    rows = np.random.default_rng(2).dirichlet(np.ones(3), size=7).astype("float16")
    checked = check_probabilities(rows, LABELS)
    assert checked.dtype == np.float64
    assert np.abs(checked.sum(axis=1) - 1).max() < 2e-5


@pytest.mark.parametrize(
    "rows, message",
    [
        ([[0.4, 0.6]], r"with 3 labels. Received: shape=\(1, 2\)"),
        ([0.4, 0.6], r"with 3 labels. Received: shape=\(2,\)"),
        ([[2.0, -1.0, 0.0]], r"sum to 1 \(the softmax of logits\). Received: hypotheses\[0\]="),
        ([[0.5, 0.5, 0.0], [0.9, 0.9, 0.0]], r"Received: hypotheses\[1\]="),
        ([[np.nan, 0.5, 0.5]], "must be probabilities"),
    ],
)
def test_what_is_no_distribution_is_refused(rows, message):
    with pytest.raises(ValueError, match=message):
        check_probabilities(rows, LABELS)


def test_probabilities_must_be_numbers_for_every_label():
    with pytest.raises(TypeError, match="one probability for each of 3 labels"):
        check_probabilities([[0.1, 0.8, 0.1], "正面"], LABELS)


def test_sets_of_labels_become_columns():
    found = label_sets("references", [["正面", "负面"], set(), ("中性",)], LABELS)
    assert found.tolist() == [[True, False, True], [False] * 3, [False, True, False]]


def test_a_set_of_labels_must_be_a_collection_of_known_ones():
    with pytest.raises(TypeError, match=r"a collection of labels .* hypotheses\[0\]='正面'"):
        label_sets("hypotheses", ["正面"], LABELS)
    with pytest.raises(ValueError, match=r"Received: hypotheses\[0\]\[0\]='好'"):
        label_sets("hypotheses", [["好"]], LABELS)


def test_a_set_of_labels_is_a_string_that_knows_them():
    found = LabelSet(["新, 旧", "好"])
    assert found == "新, 旧, 好" and found.labels == ("新, 旧", "好")
    copy = pickle.loads(pickle.dumps(found))
    assert copy == found and copy.labels == found.labels
    assert LabelSet([]) == "" and LabelSet([]).labels == ()
