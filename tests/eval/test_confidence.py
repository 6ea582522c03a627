import dataclasses
import random
import time

import numpy as np
import pytest
import sacrebleu

from tflm.eval import confidence
from tflm.eval.confidence import bootstrap, bootstrap_all, percentiles, resampled_values
from tflm.eval.metrics.bleu import BLEU
from tflm.eval.metrics.chrf import CHRF
from tflm.eval.metrics.rouge import ROUGE
from tflm.eval.metrics.ter import TER

WORDS = "ein Hund läuft im Park und eine Katze schläft auf dem Sofa neben der Tür".split()


def corpus(num_examples):
    """References of random words, and hypotheses that drop about every fifth of them."""
    generator = random.Random(5)
    references = [" ".join(generator.choices(WORDS, k=12)) for _ in range(num_examples)]
    hypotheses = [
        " ".join(word for word in text.split() if generator.random() < 0.8) for text in references
    ]
    return hypotheses, references


@pytest.mark.parametrize(
    "metric", [BLEU("de"), CHRF(), TER("de"), ROUGE("rouge2")], ids=lambda m: m.name
)
def test_the_interval_contains_the_score(metric):
    statistics = metric.statistics(*corpus(60))
    score = metric.score_statistics(statistics)
    interval = bootstrap(metric, statistics, num_resamples=300)
    assert interval.low < score.value < interval.high
    assert (interval.level, interval.num_resamples) == (0.95, 300)


def test_the_seed_decides():
    metric = BLEU("de")
    statistics = metric.statistics(*corpus(30))
    first = bootstrap(metric, statistics, num_resamples=100, seed=7)
    assert first == bootstrap(metric, statistics, num_resamples=100, seed=7)
    assert first.low != bootstrap(metric, statistics, num_resamples=100, seed=8).low
    assert first.seed == 7


def test_a_wider_level_gives_a_wider_interval():
    metric = BLEU("de")
    statistics = metric.statistics(*corpus(30))
    narrow, wide = (bootstrap(metric, statistics, num_resamples=200, level=v) for v in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_more_examples_give_a_narrower_interval():
    metric = BLEU("de")
    widths = []
    for num_examples in (20, 500):
        interval = bootstrap(metric, metric.statistics(*corpus(num_examples)), num_resamples=200)
        widths.append(interval.high - interval.low)
    assert widths[1] < 0.5 * widths[0]


def test_the_interval_agrees_with_sacrebleus_bootstrap():
    hypotheses, references = corpus(200)
    expected = sacrebleu.BLEU().corpus_score(hypotheses, [references], n_bootstrap=1000)
    metric = BLEU("de")
    interval = bootstrap(metric, metric.statistics(hypotheses, references))
    # Two independent estimates from 1000 resamples each: their ends differ by sampling noise.
    half_width = (interval.high - interval.low) / 2
    assert half_width == pytest.approx(expected._ci, rel=0.15)


def test_a_resample_is_scored_as_the_text_it_stands_for():
    hypotheses, references = corpus(4)
    metric = CHRF()
    rows = metric.statistics(hypotheses, references)
    (values,) = resampled_values([metric], [rows], 9, 0)
    drawn = np.random.default_rng(0).integers(4, size=(9, 4))  # sacreBLEU's draws
    for value, chosen in zip(values, drawn, strict=True):
        expected = metric.score([hypotheses[i] for i in chosen], [references[i] for i in chosen])
        assert value == expected.value


def test_resamples_without_a_score_are_left_out():
    values = np.array([3.0, np.nan, 1.0, 2.0, np.nan])
    assert percentiles(values, 0.5) == (1.5, 2.5)
    assert np.isnan(percentiles(values[1:2], 0.9)).all()


def test_several_metrics_have_the_intervals_they_have_alone():
    metrics = [BLEU("de"), CHRF(), ROUGE("rougeL")]
    rows = [metric.statistics(*corpus(40)) for metric in metrics]
    together = bootstrap_all(metrics, rows, num_resamples=60, level=0.9, seed=4)
    for metric, statistics, interval in zip(metrics, rows, together, strict=True):
        alone = bootstrap(metric, statistics, num_resamples=60, level=0.9, seed=4)
        assert interval == alone


def test_a_metric_that_needs_rows_is_given_the_drawn_rows():
    class Median(CHRF):
        def score_statistics(self, statistics):
            chosen = statistics[:, 0]
            return dataclasses.replace(score, value=float(np.median(chosen)))

    score = CHRF().score(["a"], ["a"])
    metric = Median()
    metric.adds = False
    rows = np.arange(25.0)[:, None]
    interval = bootstrap(metric, rows, num_resamples=200)
    assert 4 < interval.low < 12 < interval.high < 20


def test_statistics_of_different_examples_are_refused():
    metric = CHRF()
    rows = metric.statistics(*corpus(5))
    with pytest.raises(ValueError, match=r"of the same examples. Received: shapes \(5, 21\), \(3,"):
        bootstrap_all([metric, metric], [rows, rows[:3]])


def test_blocks_do_not_change_the_interval(monkeypatch):
    metric = BLEU("de")
    statistics = metric.statistics(*corpus(11))
    whole = bootstrap(metric, statistics, num_resamples=50)
    monkeypatch.setattr(confidence, "_MAX_COUNTS", 3 * 11)
    assert bootstrap(metric, statistics, num_resamples=50) == whole


def test_a_single_example_has_an_interval_of_its_score():
    metric = BLEU("de")
    statistics = metric.statistics(*corpus(1))
    score = metric.score_statistics(statistics).value
    interval = bootstrap(metric, statistics, num_resamples=10)
    assert (interval.low, interval.high) == (pytest.approx(score), pytest.approx(score))


def test_a_thousand_examples_take_no_noticeable_time():
    metric = BLEU("de")
    statistics = np.tile(metric.statistics(*corpus(10)), (100, 1))
    start = time.process_time()
    bootstrap(metric, statistics)
    assert time.process_time() - start < 2  # 0.3 s on a free core


def test_summed_statistics_are_refused():
    statistics = BLEU("de").statistics(["a"], ["a"])
    with pytest.raises(ValueError, match=r"one row per example, .* Received: shape=\(13,\)"):
        bootstrap(BLEU("de"), statistics.sum(axis=0))
    with pytest.raises(ValueError, match=r"one row per example, .* Received: shape=\(0, 13\)"):
        bootstrap(BLEU("de"), statistics[:0])


def test_no_resamples_are_refused():
    statistics = BLEU("de").statistics(["a"], ["a"])
    with pytest.raises(ValueError, match="`num_resamples` must be positive. Received: .*=0"):
        bootstrap(BLEU("de"), statistics, num_resamples=0)


@pytest.mark.parametrize("level", [0, 1, 95])
def test_a_level_that_is_no_share_is_refused(level):
    statistics = BLEU("de").statistics(["a"], ["a"])
    with pytest.raises(
        ValueError, match=f"`level` must be between 0 and 1. Received: level={level}"
    ):
        bootstrap(BLEU("de"), statistics, level=level)
