import pytest

from tflm.eval.cross_validation import cross_validate
from tflm.eval.metrics.calibration import BrierScore
from tflm.eval.metrics.chrf import CHRF
from tflm.eval.metrics.classification import Accuracy
from tflm.eval.metrics.rouge import ROUGE

EXAMPLES = [(f"source {i}", f"第{i}句话，目标" if i % 3 else f"sentence {i}") for i in range(11)]


def memorize(examples):
    """A model that knows the examples it was fitted on, and guesses the rest."""
    known = dict(examples)
    return lambda sources: [known.get(source, f"第{source[-1]}句") for source in sources]


def test_every_example_is_predicted_once_by_a_model_that_has_not_seen_it():
    seen = []

    def fit(examples):
        seen.append({source for source, _ in examples})
        return memorize(examples)

    result = cross_validate(fit, EXAMPLES, [CHRF()], k=4)
    for index, (source, _) in enumerate(EXAMPLES):
        assert result.hypotheses[index] == f"第{source[-1]}句"
        assert [source in fold for fold in seen] == [i != result.fold_of[index] for i in range(4)]
    sizes = [result.fold_of.count(fold) for fold in range(4)]
    assert sorted(sizes) == [2, 3, 3, 3]


def test_the_pooled_score_is_that_of_all_predictions():
    metrics = [CHRF(), ROUGE("rouge1", "zh")]
    result = cross_validate(memorize, EXAMPLES, metrics, k=3)
    references = [reference for _, reference in EXAMPLES]
    for metric in metrics:
        assert result.scores[metric.name].value == pytest.approx(
            metric.score(result.hypotheses, references).value
        )
        folds = result.folds[metric.name]
        assert len(folds.values) == 3
        assert folds.deviation > 0
        for fold, value in enumerate(folds.values):
            held_out = [i for i, chosen in enumerate(result.fold_of) if chosen == fold]
            expected = metric.score(
                [result.hypotheses[i] for i in held_out], [references[i] for i in held_out]
            )
            assert value == pytest.approx(expected.value)


def test_the_seed_decides_the_folds():
    first = cross_validate(memorize, EXAMPLES, [CHRF()], k=3, seed=1)
    assert first == cross_validate(memorize, EXAMPLES, [CHRF()], k=3, seed=1)
    assert first.fold_of != cross_validate(memorize, EXAMPLES, [CHRF()], k=3, seed=2).fold_of


def test_one_example_at_a_time_may_be_left_out():
    result = cross_validate(memorize, EXAMPLES, [CHRF()], k=11)
    assert sorted(result.fold_of) == list(range(11))


def test_several_references_are_passed_on():
    examples = [(f"s{i}", [f"a b {i}", f"c d {i}"]) for i in range(4)]
    result = cross_validate(
        lambda _: lambda sources: ["a b"] * len(sources), examples, [CHRF()], k=2
    )
    assert "nrefs" not in result.scores["chrf"].components
    assert result.scores["chrf"].signature.startswith("nrefs:2")


def test_a_classifier_may_answer_with_probabilities():
    labels = ["负面", "正面"]
    examples = [(f"text {i}", labels[i % 2]) for i in range(9)]

    def fit(chosen):
        share = sum(label == "正面" for _, label in chosen) / len(chosen)
        return lambda sources: [[1 - share, share] for _ in sources]

    result = cross_validate(fit, examples, [Accuracy(labels), BrierScore(labels)], k=3)
    assert result.scores["brier"].num_examples == 9
    assert len(result.folds["brier"].values) == 3


@pytest.mark.parametrize("k", [1, 12])
def test_too_few_and_too_many_folds_are_refused(k):
    with pytest.raises(ValueError, match=f"`k` must be from 2 .* Received: k={k}, 11 examples"):
        cross_validate(memorize, EXAMPLES, [CHRF()], k=k)


def test_examples_must_be_pairs():
    with pytest.raises(ValueError, match=r"must be pairs .* Received: examples\[1\]='b'"):
        cross_validate(memorize, [("a", "b"), "b"], [CHRF()], k=2)
