import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tflm.eval.metrics.perplexity import BitsPer, Likelihood, Perplexity

TEXTS = ["a man walks", "北京在中国", "é a\nb"]


def test_the_sum_over_tokens_is_divided_once():
    likelihoods = [Likelihood(-2.0, 4), Likelihood(-30.0, 6), Likelihood(-0.5, 1)]
    score = Perplexity().score(likelihoods, TEXTS)
    assert score.value == pytest.approx(math.exp(32.5 / 11))
    assert score.components["num_tokens"] == 11
    assert score.components["log_probability"] == -32.5
    assert not score.higher_is_better


def test_uneven_batches_weigh_what_they_hold():
    generator = np.random.default_rng(4)
    lengths = [3, 9, 1, 6, 2]
    values = [generator.normal(-2, 0.5, size=length).clip(max=0) for length in lengths]
    expected = math.exp(-np.concatenate(values).mean())
    texts = ["x"] * 5
    for cuts in ([0, 5], [0, 1, 5], [0, 2, 4, 5]):
        likelihoods, means = [], []
        for start, end in zip(cuts, cuts[1:], strict=False):
            width = max(lengths[start:end])
            padded = np.full((end - start, width), np.nan)  # padding may hold anything
            for row, one in zip(padded, values[start:end], strict=True):
                row[: len(one)] = one
            likelihoods += Likelihood.from_batch(padded, ~np.isnan(padded))
            means.append(math.exp(-np.nanmean(padded)))
        assert Perplexity().score(likelihoods, texts).value == pytest.approx(expected)
        if len(means) > 1:  # the usual mistake is another number
            assert np.mean(means) != pytest.approx(expected, rel=1e-3)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_perplexity_is_by_tokens_however_the_texts_are_cut_into_batches(data):
    values = data.draw(
        st.lists(st.lists(st.floats(-9, 0), min_size=1, max_size=7), min_size=1, max_size=8)
    )
    cuts = sorted(data.draw(st.sets(st.integers(0, len(values)))) | {0, len(values)})
    likelihoods = []
    for start, end in zip(cuts, cuts[1:], strict=False):
        batch = values[start:end]
        width = max(map(len, batch)) + data.draw(st.integers(0, 2))
        mask = [[True] * len(row) + [False] * (width - len(row)) for row in batch]
        filled = [row + [math.nan] * (width - len(row)) for row in batch]
        likelihoods += Likelihood.from_batch(filled, mask)
    flat = [value for row in values for value in row]
    score = Perplexity().score(likelihoods, ["公园"] * len(values))
    assert score.value == pytest.approx(math.exp(-math.fsum(flat) / len(flat)), rel=1e-9)
    assert score.components["num_tokens"] == len(flat)


def test_units_are_those_of_the_original_text():
    likelihoods = [Likelihood(-6.0, 3), Likelihood(-8.0, 2), Likelihood(-4.0, 5)]
    counts = {"token": 10, "word": 3 + 1 + 3, "character": 11 + 5 + 5, "byte": 11 + 15 + 6}
    for unit, count in counts.items():
        score = Perplexity(unit=unit).score(likelihoods, TEXTS)
        assert score.value == pytest.approx(math.exp(18 / count))
        bits = BitsPer(unit).score(likelihoods, TEXTS)
        assert bits.value == pytest.approx(18 / count / math.log(2))
        assert 2**bits.value == pytest.approx(score.value)


def test_a_uniform_model_has_the_size_of_its_vocabulary_as_perplexity():
    rows = np.full((2, 7), -math.log(256))
    likelihoods = Likelihood.from_batch(rows, np.ones((2, 7)))
    texts = ["abcdefg", "hijklmn"]
    assert Perplexity().score(likelihoods, texts).value == pytest.approx(256)
    assert BitsPer("byte").score(likelihoods, texts).value == pytest.approx(8)


def test_rows_and_their_sum_score_the_same():
    likelihoods = [Likelihood(-2.0, 4), Likelihood(-30.0, 6), Likelihood(-0.5, 0)]
    for metric in (Perplexity(unit="word"), BitsPer("character")):
        rows = metric.statistics(likelihoods, TEXTS)
        assert metric.score_statistics(rows) == metric.score_statistics(rows.sum(axis=0))


def test_names_and_signatures_tell_the_unit():
    names = [Perplexity().name, Perplexity(unit="word").name, BitsPer().name]
    assert names == ["perplexity", "word_perplexity", "bits_per_byte"]
    score = Perplexity(unit="word", name="ppl").score([Likelihood(-2.0, 4)], ["a b"])
    assert score.format() == "Perplexity by word|unit:word|words:split = 2.72 (1 example)"
    assert BitsPer("character").score([Likelihood(-2.0, 4)], ["公园"]).format() == (
        "Bits per character|unit:character = 1.4427 (1 example)"
    )


def test_an_impossible_text_has_infinite_perplexity():
    assert Perplexity().score([Likelihood(-math.inf, 3)], ["a"]).value == math.inf
    assert Perplexity().score([Likelihood(-1e6, 3)], ["a"]).value == math.inf


def test_rounding_above_0_is_cut():
    assert Likelihood.from_batch([[1e-7, -1.0]], [[1, 1]]) == [Likelihood(-1.0, 2)]


def test_texts_without_the_unit_are_refused():
    with pytest.raises(ValueError, match="at least one word. Received: 1 texts without any"):
        Perplexity(unit="word").score([Likelihood(-1.0, 1)], [" "])


@pytest.mark.parametrize("metric", [Perplexity, BitsPer])
def test_an_unknown_unit_lists_the_known_ones(metric):
    with pytest.raises(ValueError, match="token, word, character, byte. Received: unit='line'"):
        metric(unit="line")


def test_bad_likelihoods_are_refused():
    with pytest.raises(ValueError, match="must be 0 or less.* log_probability=0.5"):
        Likelihood(0.5, 2)
    with pytest.raises(ValueError, match="log_probability=nan"):
        Likelihood(math.nan, 2)
    with pytest.raises(ValueError, match="`num_tokens` must be 0 or more. Received: num_tokens=-1"):
        Likelihood(-0.5, -1)
    with pytest.raises(ValueError, match=r"`mask` must have the shape .* \(1, 2\), mask of \(2,\)"):
        Likelihood.from_batch([[-1.0, -2.0]], [1, 1])


def test_other_predictions_are_refused():
    with pytest.raises(TypeError, match=r"a list of `Likelihood`s. Received: hypotheses\[0\]=-1.0"):
        Perplexity().score([-1.0], ["a"])
    with pytest.raises(TypeError, match=r"`references` must be a list of strings"):
        Perplexity().check_references([3])
    with pytest.raises(ValueError, match="Received: 1 hypotheses, 2 references"):
        Perplexity().score([Likelihood(-1.0, 1)], ["a", "b"])
