import gzip
import json
import logging
import random

import numpy as np
import pytest
import sacrebleu
from sacrebleu.significance import PairedTest

from tflm.eval import significance
from tflm.eval.metrics.base import Metric, Score
from tflm.eval.metrics.bleu import BLEU
from tflm.eval.metrics.calibration import AUROC
from tflm.eval.metrics.chrf import CHRF
from tflm.eval.metrics.rouge import ROUGE
from tflm.eval.significance import Comparison, approximate_randomization, paired_bootstrap


class Accuracy(Metric):
    """Two columns: 1, and the part of an example that is right."""

    def statistics(self, hypotheses, references):
        rows = [(1, h == r) for h, r in zip(hypotheses, references, strict=True)]
        return np.array(rows, float)

    def score_statistics(self, statistics):
        num_examples, num_right = np.atleast_2d(statistics).sum(axis=0)
        return Score(
            name=self.name,
            label=self.name,
            value=num_right / num_examples,
            num_examples=int(num_examples),
            signature="",
        )


def right(*values):
    """Statistics of examples that are right to these shares."""
    return np.array([(1, value) for value in values], float)


def damaged(text, generator, share):
    return " ".join(word for word in text.split() if generator.random() > share)


def bootstrap_test(metric, first, second, trials=400):
    return paired_bootstrap(metric, first, second, num_resamples=trials)


def swap_test(metric, first, second, trials=400):
    return approximate_randomization(metric, first, second, num_trials=trials)


@pytest.fixture(scope="module")
def systems(shared_data):
    """References and the outputs of two systems, the second a little worse."""
    path = shared_data / "multi30k" / "test_2016_flickr.de.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        references = lines.read().splitlines()[:120]
    generator = random.Random(6)
    first, second = (
        [damaged(text, generator, share) for text in references] for share in (0.1, 0.14)
    )
    return first, second, references


def statistics(metric, systems):
    first, second, references = systems
    return metric.statistics(first, references), metric.statistics(second, references)


@pytest.mark.parametrize("kind", ["bs", "ar"])
@pytest.mark.parametrize(
    "metric, theirs", [(BLEU("de"), sacrebleu.BLEU()), (CHRF(), sacrebleu.CHRF())], ids=["b", "c"]
)
def test_p_values_are_those_of_sacrebleu(kind, metric, theirs, systems, caplog):
    first, second, references = systems
    caplog.set_level(logging.ERROR, "sacrebleu")
    paired = PairedTest(
        [("first", first), ("second", second)], {"m": theirs}, [references], kind, n_samples=500
    )
    expected = next(results[1] for name, results in paired()[1].items() if name != "System")
    if kind == "bs":
        found = paired_bootstrap(metric, *statistics(metric, systems), num_resamples=500)
    else:
        found = approximate_randomization(metric, *statistics(metric, systems), num_trials=500)
    assert found.p_value == pytest.approx(expected.p_value, abs=1e-12)
    assert found.system.value == expected.score
    assert 1 / 501 <= found.p_value < 1


@pytest.mark.parametrize("test", [bootstrap_test, swap_test])
def test_a_system_does_not_differ_from_itself(test, systems):
    for metric in (BLEU("de"), ROUGE("rouge2")):
        rows = statistics(metric, systems)[0]
        found = test(metric, rows, rows)
        assert (found.p_value, found.difference) == (1.0, 0.0)


@pytest.mark.parametrize("test", [bootstrap_test, swap_test])
def test_a_clear_difference_is_significant_and_one_in_a_single_example_is_not(test):
    metric = Accuracy("accuracy")
    assert test(metric, right(*[0] * 40), right(*[1] * 40)).p_value < 0.01
    assert test(metric, right(*[0] * 40), right(1, *[0] * 39)).p_value > 0.2


def test_the_sign_test_is_found_by_swapping():
    # Three of nine examples differ, all in favour of one system: 2 of the 2^3 swaps are as extreme.
    first, second = right(*[0] * 9), right(1, 1, 1, *[0] * 6)
    found = approximate_randomization(Accuracy("accuracy"), first, second)
    assert found.p_value == pytest.approx(2 / 8, abs=0.02)


def test_the_interval_of_the_difference_contains_it(systems):
    metric = BLEU("de")
    first, second = statistics(metric, systems)
    found = paired_bootstrap(metric, first, second, num_resamples=300)
    assert found.interval.low < found.difference < found.interval.high
    back = paired_bootstrap(metric, second, first, num_resamples=300)
    assert back.difference == -found.difference
    assert back.p_value == found.p_value
    assert back.interval.low == pytest.approx(-found.interval.high)


@pytest.mark.parametrize("test", [bootstrap_test, swap_test])
def test_metrics_that_need_rows_are_compared_as_those_that_add(test):
    generator = np.random.default_rng(2)
    first, second = right(*generator.random(31)), right(*generator.random(31))
    found = test(Accuracy("accuracy", adds=False), first, second)
    expected = test(Accuracy("accuracy"), first, second)
    assert found.p_value == expected.p_value
    assert found.difference == pytest.approx(expected.difference)


@pytest.mark.parametrize("test", [bootstrap_test, swap_test])
def test_trials_without_a_score_are_left_out(test):
    labels = ["负面", "正面"]
    metric = AUROC(labels)
    generator = np.random.default_rng(3)

    def rows(num_positive, shift):
        true = ["正面"] * num_positive + ["负面"] * 9
        chances = np.clip(generator.random(len(true)) + shift, 0, 1)
        chances[num_positive:] = generator.random(9)
        return metric.statistics(np.stack([1 - chances, chances], axis=1), true)

    # With a single positive example a third of the resamples have none.
    found = test(metric, rows(1, 0.0), rows(1, 0.0), trials=60)  # Scikit-learn takes its time
    assert 0.05 < found.p_value <= 1
    undefined = test(metric, rows(0, 0.0), rows(0, 0.0), trials=60)
    assert np.isnan(undefined.p_value) and np.isnan(undefined.difference)
    assert json.loads(json.dumps(undefined.to_dict(), allow_nan=False))["p_value"] == "nan"


def test_blocks_do_not_change_the_swaps(monkeypatch, systems):
    metric = BLEU("de")
    rows = statistics(metric, systems)
    whole = approximate_randomization(metric, *rows, num_trials=100)
    monkeypatch.setattr(significance, "_MAX_SWAPS", 40 * 120)
    assert approximate_randomization(metric, *rows, num_trials=100) == whole


def test_a_comparison_prints_one_line_and_writes_json(systems):
    metric = BLEU("de")
    found = paired_bootstrap(metric, *statistics(metric, systems), num_resamples=50)
    assert found.format().startswith(
        f"BLEU {found.system.value:.2f} - {found.baseline.value:.2f} ="
    )
    assert "paired bootstrap, 50 trials, seed 12345)" in found.format()
    values = json.loads(json.dumps(found.to_dict()))
    assert values["difference"] == found.difference
    assert Score.from_dict(values["baseline"]) == found.baseline
    swapped = approximate_randomization(metric, *statistics(metric, systems), num_trials=32)
    assert isinstance(swapped, Comparison)
    assert "[" not in swapped.format()


@pytest.mark.parametrize("test", [paired_bootstrap, approximate_randomization])
def test_statistics_of_different_examples_are_refused(test):
    with pytest.raises(ValueError, match=r"same examples. Received: shapes \(4, 2\), \(3, 2\)"):
        test(Accuracy("a"), right(1, 0, 1, 0), right(1, 0, 1))


def test_no_trials_are_refused():
    rows = right(1, 0, 1, 0)
    with pytest.raises(ValueError, match="`num_trials` must be positive. Received: num_trials=0"):
        approximate_randomization(Accuracy("a"), rows, rows, num_trials=0)
    with pytest.raises(ValueError, match="`level` must be between 0 and 1. Received: level=2"):
        paired_bootstrap(Accuracy("a"), rows, rows, level=2)
