import numpy as np
import pytest

from tflm.eval.metrics.example_mean import ExampleMean


class ShareOfVowels(ExampleMean):
    def __init__(self):
        super().__init__("vowels", label="Vowels", signature="letters:aeiou", higher_is_better=True)

    def example_value(self, hypothesis):
        return sum(c in "aeiou" for c in hypothesis) / len(hypothesis) if hypothesis else None


def test_the_score_is_the_mean_over_the_outputs_that_have_the_number():
    score = ShareOfVowels().score(["aebc", "", "ae"])
    assert score.value == 0.75
    assert (score.num_examples, score.components) == (3, {"num_counted": 2})
    assert (score.label, score.signature, score.higher_is_better) == (
        "Vowels",
        "letters:aeiou",
        True,
    )


def test_a_corpus_without_the_number_scores_zero():
    assert ShareOfVowels().score([""]).value == 0.0


def test_references_are_not_read_but_counted():
    metric = ShareOfVowels()
    without = metric.statistics(["ab", "c"])
    np.testing.assert_array_equal(without, metric.statistics(["ab", "c"], ["x", ["y", "z"]]))
    with pytest.raises(ValueError, match="Received: 2 hypotheses, 1 references"):
        metric.statistics(["ab", "c"], ["x"])
    with pytest.raises(ValueError, match="`hypotheses` must hold at least one string"):
        metric.statistics([])
