import json

import numpy as np
import pytest

from tflm.eval.metrics.base import Interval, Metric, Score


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


def test_a_score_cannot_be_changed(score):
    with pytest.raises(AttributeError, match="value"):
        score.value = 40.0
