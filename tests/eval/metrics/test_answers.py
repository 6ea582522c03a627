import numpy as np
import pytest

from tflm.eval.metrics.answers import AnswerMetric, best, harmonic_f1, num_shared


class FirstLetter(AnswerMetric):
    def compare(self, prediction, answer):
        return float(prediction[:1] == answer[:1])


METRIC = FirstLetter("first", "First letter", "none")


def test_the_best_gold_answer_counts():
    assert best(METRIC.compare, "cat", ["dog", "cow"]) == 1
    assert best(METRIC.compare, "cat", ["dog", "owl"]) == 0


def test_the_score_is_the_mean_over_questions_times_100():
    score = METRIC.score(["cat", "dog", "emu"], ["cow", ["owl", "donkey"], "ant"])
    assert score.value == pytest.approx(200 / 3)
    assert (score.num_examples, score.label, score.signature) == (3, "First letter", "none")


def test_rows_and_their_sum_score_the_same():
    rows = METRIC.statistics(["cat", "dog", "emu"], ["cow", "owl", "elk"])
    assert METRIC.score_statistics(rows) == METRIC.score_statistics(rows.sum(axis=0))


def test_no_example_is_refused():
    with pytest.raises(ValueError, match="at least one example. Received: 0 examples"):
        METRIC.score_statistics(np.zeros(2))
    with pytest.raises(ValueError, match="`hypotheses` must hold at least one string"):
        METRIC.score([], [])


def test_f1_is_the_harmonic_mean_of_precision_and_recall():
    assert harmonic_f1(2, 4, 5) == pytest.approx(2 * 0.5 * 0.4 / 0.9)
    assert harmonic_f1(0, 4, 0) == 0


def test_shared_tokens_are_counted_with_repeats():
    assert num_shared(["a", "a", "b"], ["a", "a", "a", "c"]) == 2
