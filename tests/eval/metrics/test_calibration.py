import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tflm.eval.confidence import bootstrap
from tflm.eval.metrics.calibration import AUROC, BrierScore, CalibrationError

sklearn = pytest.importorskip("sklearn.metrics", reason="needs pip install 'tflm[eval]'")

LABELS = ["负面", "中性", "正面"]


def sample(num_examples, num_labels, seed=3):
    """Probabilities that know something, and labels."""
    generator = np.random.default_rng(seed)
    true = generator.integers(num_labels, size=num_examples)
    true[:num_labels] = np.arange(num_labels)
    logits = generator.normal(size=(num_examples, num_labels)) + 1.5 * np.eye(num_labels)[true]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return probabilities, true, [LABELS[number] for number in true]


@pytest.mark.parametrize("num_labels", [2, 3])
def test_auroc_is_that_of_scikit_learn(num_labels):
    probabilities, true, names = sample(61, num_labels)
    if num_labels == 2:
        expected = sklearn.roc_auc_score(true, probabilities[:, 1])
    else:
        expected = sklearn.roc_auc_score(true, probabilities, multi_class="ovr")
    score = AUROC(LABELS[:num_labels]).score(probabilities, names)
    assert score.value == pytest.approx(expected)
    assert 0.6 < score.value < 0.99
    assert ("one-vs-rest" in score.signature) == (num_labels == 3)


@pytest.mark.parametrize("num_labels", [2, 3])
def test_the_brier_score_is_that_of_scikit_learn(num_labels):
    probabilities, true, names = sample(47, num_labels)
    if num_labels == 2:
        expected = sklearn.brier_score_loss(true, probabilities[:, 1])
    else:
        expected = sklearn.brier_score_loss(true, probabilities)
    score = BrierScore(LABELS[:num_labels]).score(probabilities, names)
    assert score.value == pytest.approx(expected)
    assert not score.higher_is_better


def test_the_calibration_error_is_its_definition():
    probabilities, true, names = sample(211, 3)
    confidence, is_right = probabilities.max(axis=1), probabilities.argmax(axis=1) == true
    expected = 0
    for number in range(5):
        inside = (confidence > number / 5) & (confidence <= (number + 1) / 5)
        if inside.any():
            gap = abs(confidence[inside].mean() - is_right[inside].mean())
            expected += inside.mean() * gap
    metric = CalibrationError(LABELS, num_bins=5)
    score = metric.score(probabilities, names)
    assert score.value == pytest.approx(expected)
    assert score.components["accuracy"] == pytest.approx(is_right.mean())
    assert score.components["confidence"] == pytest.approx(confidence.mean())
    assert score.signature == "bins:5|width:equal|norm:l1|labels:3"
    diagram = metric.reliability(metric.statistics(probabilities, names))
    assert diagram[:, 0].sum() == 211
    assert np.isnan(diagram[0, 1:]).all()  # the highest of 3 probabilities is above 1/3
    assert diagram[4, 2] == pytest.approx(is_right[confidence > 0.8].mean())


def test_certain_and_right_is_calibrated_and_certain_and_wrong_is_not():
    rows = [[1.0, 0.0], [0.0, 1.0]]
    metric = CalibrationError(LABELS[:2])
    assert metric.score(rows, ["负面", "中性"]).value == 0
    assert metric.score(rows, ["中性", "负面"]).value == 1
    # The edge of two bins belongs to the lower one.
    assert metric.score([[0.6, 0.4]], ["负面"]).value == pytest.approx(0.4)


@settings(max_examples=15, deadline=None)
@given(st.integers(4, 60), st.integers(0, 99), st.data())
def test_any_split_of_the_data_adds_up(num_examples, seed, data):
    probabilities, _, names = sample(num_examples, 3, seed)
    cut = data.draw(st.integers(1, num_examples - 1))
    for metric in (AUROC(LABELS), BrierScore(LABELS), CalibrationError(LABELS)):
        whole = metric.score(probabilities, names)
        parts = [
            metric.statistics(probabilities[cut:], names[cut:]),
            metric.statistics(probabilities[:cut], names[:cut]),
        ]
        joined = metric.score_statistics(np.concatenate(parts))
        assert joined.value == pytest.approx(whole.value, abs=1e-12)
        if metric.adds:
            joined = metric.score_statistics(sum(part.sum(axis=0) for part in parts))
            assert joined.value == pytest.approx(whole.value, abs=1e-12)
            assert joined.num_examples == num_examples


def test_auroc_needs_rows_and_every_label():
    metric = AUROC(LABELS)
    probabilities, _, names = sample(11, 3)
    with pytest.raises(ValueError, match=r"one row each.* Received: shape=\(4,\)"):
        metric.score_statistics(metric.statistics(probabilities, names).sum(axis=0))
    assert np.isnan(metric.score(probabilities[:2], names[:2]).value)


def test_references_are_checked_before_any_prediction():
    assert AUROC(LABELS).check_references(["正面"]) == ["正面"]
    with pytest.raises(ValueError, match=r"Received: references\[0\]='好'"):
        AUROC(LABELS).check_references(["好"])
    with pytest.raises(ValueError, match="Received: 2 hypotheses, 1 references"):
        BrierScore(LABELS).score([[0, 0, 1], [0, 1, 0]], ["正面"])


def test_no_example_is_refused():
    with pytest.raises(ValueError, match="at least one example. Received: 0 examples"):
        BrierScore(LABELS).score_statistics(np.zeros(2))


def test_there_must_be_a_bin():
    with pytest.raises(ValueError, match="`num_bins` must be positive. Received: num_bins=0"):
        CalibrationError(LABELS, num_bins=0)


def test_a_bootstrap_draws_rows_and_leaves_undefined_resamples_out():
    metric = AUROC(LABELS[:2])
    rows = metric.statistics(
        [[0.1, 0.9], [0.7, 0.3], [0.6, 0.4], [0.4, 0.6]], ["中性"] + ["负面"] * 3
    )
    # About a third of the resamples of four examples do not hold the only positive one.
    interval = bootstrap(metric, rows, num_resamples=50)
    assert interval.low <= metric.score_statistics(rows).value <= interval.high
    probabilities, _, names = sample(61, 2)
    rows = metric.statistics(probabilities, names)
    interval = bootstrap(metric, rows, num_resamples=50)
    assert 0 < interval.low < metric.score_statistics(rows).value < interval.high < 1
