import dataclasses
import json
import math

import numpy as np
import pytest

from tflm.eval.metrics.base import Interval, Metric, Score, check_rows, summed


class Accuracy(Metric):
    """The smallest metric there is: exact matches and examples."""

    def __init__(self):
        super().__init__("accuracy")

    def statistics(self, hypotheses, references):
        return np.array([[h == r, 1] for h, r in zip(hypotheses, references, strict=True)], float)

    def score_statistics(self, statistics):
        matches, examples = np.atleast_2d(statistics).sum(axis=0)
        return Score(
            name=self.name,
            label="Accuracy",
            value=100 * matches / examples,
            num_examples=int(examples),
            signature="case:mixed",
        )


@pytest.fixture
def score():
    return Score(
        name="bleu",
        label="BLEU",
        value=36.304,
        num_examples=1000,
        signature="nrefs:1|case:mixed",
        components={"brevity_penalty": 0.75},
        interval=Interval(low=34.95, high=37.716, level=0.95, num_resamples=200, seed=3),
    )


def test_a_metric_needs_only_statistics_and_a_score_of_them():
    metric = Accuracy()
    assert metric.score(["a", "b", "c"], ["a", "b", "d"]).value == pytest.approx(200 / 3)
    assert metric.score_statistics(np.array([1.0, 4.0])).value == 25
    assert metric.higher_is_better


def test_a_metric_without_its_two_methods_cannot_be_made():
    with pytest.raises(TypeError, match="score_statistics"):
        Metric("nothing")


def test_a_score_prints_its_settings_and_interval(score):
    assert score.format() == "BLEU|nrefs:1|case:mixed = 36.30 [34.95, 37.72] (1000 examples)"
    assert score.format(digits=1) == "BLEU|nrefs:1|case:mixed = 36.3 [35.0, 37.7] (1000 examples)"


def test_a_score_without_interval_prints_the_value_alone(score):
    single = Score(name="ter", label="TER", value=5, num_examples=1, signature="case:lc")
    assert single.format_value() == "5.00"
    assert single.format() == "TER|case:lc = 5.00 (1 example)"


def test_a_score_survives_json(score):
    assert Score.from_dict(json.loads(json.dumps(score.to_dict()))) == score
    bare = Score(name="ter", label="TER", value=5.5, num_examples=3, signature="case:lc")
    assert Score.from_dict(json.loads(json.dumps(bare.to_dict()))) == bare


def test_what_is_no_number_survives_json_too(score):
    ends = Interval(low=float("-inf"), high=float("nan"), level=0.9, num_resamples=7, seed=2)
    odd = dataclasses.replace(score, value=math.inf, components={"a": math.nan}, interval=ends)
    text = json.dumps(odd.to_dict(), allow_nan=False)
    assert '"value": "inf"' in text
    back = Score.from_dict(json.loads(text))
    assert (back.value, back.interval.low) == (math.inf, -math.inf)
    assert math.isnan(back.components["a"]) and math.isnan(back.interval.high)


def test_a_score_cannot_be_changed(score):
    with pytest.raises(AttributeError, match="value"):
        score.value = 40.0


def test_a_sum_of_no_rows_is_refused():
    assert summed(np.array([[1.0, 2], [3, 4], [5, 6]])).tolist() == [9, 12]
    assert summed(np.array([9.0, 12])).tolist() == [9, 12]
    with pytest.raises(ValueError, match=r"at least one example.* Received: shape=\(0, 2\)"):
        summed(np.zeros((0, 2)))


def test_rows_are_told_from_their_sum():
    rows = np.array([[1.0, 2], [3, 4], [5, 6]])
    assert check_rows(rows) is rows
    with pytest.raises(ValueError, match=r"one row each.* Received: shape=\(2,\)"):
        check_rows(summed(rows))


def test_references_of_text_are_checked_unless_a_metric_says_otherwise():
    assert Accuracy().check_references(["a", ["b", "公园"]]) == [("a",), ("b", "公园")]
    with pytest.raises(TypeError, match=r"`references` must be a list of strings"):
        Accuracy().check_references("abc")


def test_a_score_on_a_scale_of_1_prints_more_digits():
    fine = Score(name="f1", label="F1", value=0.86124, num_examples=2, signature="", digits=4)
    assert (fine.format_value(), fine.format_value(2)) == ("0.8612", "0.86")
    assert Score.from_dict(json.loads(json.dumps(fine.to_dict()))) == fine
