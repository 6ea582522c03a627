import dataclasses

import numpy as np
import pytest
import sacrebleu

from tflm.eval.analysis import (
    analyze,
    describe_example_score,
    example_values,
    length_groups,
    sorting_metric,
)
from tflm.eval.catalog import metrics_named
from tflm.eval.evaluation import evaluate
from tflm.eval.metrics.bleu import BLEU
from tflm.eval.metrics.chrf import CHRF
from tflm.eval.metrics.squad2 import Squad2F1
from tflm.eval.metrics.ter import TER

WORDS = "ein Hund läuft im Park und eine Katze schläft auf dem Sofa".split()


@pytest.fixture(scope="module")
def corpus():
    generator = np.random.default_rng(3)
    references = [" ".join(generator.choice(WORDS, generator.integers(1, 25))) for _ in range(70)]
    hypotheses = [
        " ".join(word for word in text.split() if generator.random() < 0.8) for text in references
    ]
    return hypotheses, references


def test_sentence_bleu_is_that_of_sacrebleu(corpus):
    metric = BLEU("de")
    values = example_values(metric, metric.statistics(*corpus))
    expected = [sacrebleu.sentence_bleu(h, [r]).score for h, r in zip(*corpus, strict=True)]
    np.testing.assert_allclose(values, expected, atol=1e-9)
    score = metric.score(*corpus)
    assert describe_example_score(metric, score) == (
        "sentence BLEU, exponential smoothing, effective order"
    )


def test_other_metrics_score_an_example_as_a_corpus_of_one(corpus):
    for metric in (CHRF(), TER("de")):
        values = example_values(metric, metric.statistics(*corpus))
        for index in (0, 33, 69):
            alone = metric.score([corpus[0][index]], [corpus[1][index]])
            assert values[index] == alone.value
        assert describe_example_score(metric, alone).endswith("of the example alone")


def test_metrics_whose_rows_do_not_add_score_examples_too():
    metric = Squad2F1()
    rows = metric.statistics(["Bern", "", "x"], [["Bern"], [], []])
    assert example_values(metric, rows).tolist() == [100.0, 100.0, 0.0]


def test_bins_are_whole_and_score_their_examples_together(corpus):
    hypotheses, references = corpus
    metrics = [BLEU("de"), CHRF()]
    sources = [f"{text} !" for text in references]
    report = evaluate(hypotheses, sources, references, metrics, num_resamples=0)
    found = analyze(report, metrics, num_resamples=20)
    assert found.length_of == "source"
    assert sum(group.num_examples for group in found.bins) == 70
    assert len(found.bins) == 5
    lengths = np.array([len(text.split()) for text in sources])
    for group in found.bins:
        chosen = np.flatnonzero((lengths >= group.low) & (lengths <= group.high))
        assert len(chosen) == group.num_examples
        expected = CHRF().score([hypotheses[i] for i in chosen], [references[i] for i in chosen])
        assert group.scores[1].value == expected.value
        assert group.scores[1].interval.num_resamples == 20
    assert found.bins[0].label == f"{found.bins[0].low}–{found.bins[0].high}"


def test_examples_are_sorted_worst_first(corpus):
    for metrics in ([BLEU("de"), CHRF()], [TER("de")]):
        report = evaluate(*corpus[:1], None, corpus[1], metrics, num_resamples=0)
        found = analyze(report, metrics, num_resamples=5)
        values = found.values[found.order]
        sign = 1 if metrics[-1].higher_is_better else -1
        assert (np.diff(values) * sign >= 0).all()
        assert found.length_of == "reference"
    assert sorting_metric([BLEU("de"), CHRF(word_order=2), CHRF()]) == 2
    assert sorting_metric([BLEU("de"), TER("de")]) == 0


@pytest.mark.parametrize(
    ("lengths", "sizes"),
    [
        ([3] * 40, [40]),
        ([1] * 45 + [2] * 55, [45, 55]),
        (list(range(50)), [10] * 5),
        ([1] * 48 + [9, 9], [50]),
        ([4, 8], [2]),
    ],
)
def test_groups_have_enough_examples_and_do_not_split_a_length(lengths, sizes):
    groups = length_groups(np.array(lengths))
    assert [len(group) for group in groups] == sizes
    assert sorted(np.concatenate(groups).tolist()) == list(range(len(lengths)))


def test_classes_are_confused():
    labels = ["负面", "正面"]
    metrics = metrics_named(["accuracy"], "zh", labels)
    hypotheses, references = ["正面", "正面", "负面", "正面"], ["正面", "负面", "负面", "正面"]
    report = evaluate(hypotheses, None, references, metrics, num_resamples=0)
    found = analyze(report, metrics, num_resamples=5)
    assert found.classes == ("正面", "负面")
    assert found.confusion.tolist() == [[2, 0], [1, 1]]
    assert found.values.tolist() == [1.0, 0.0, 1.0, 1.0]


def test_a_report_without_references_cannot_be_looked_into(corpus):
    metrics = [CHRF()]
    report = evaluate(corpus[0], None, corpus[1], metrics, num_resamples=0)
    with pytest.raises(ValueError, match="`report` must hold the references.*without examples"):
        analyze(dataclasses.replace(report, references=()), metrics)


def test_a_report_of_several_labels_is_analyzed_without_classes():
    expected = [("新",), ("好", "新"), (), ("好",)] * 3
    metrics = metrics_named(["accuracy"], "", ("好", "新"), multi_label=True)
    report = evaluate([["新"], ["新"], ["好"], []] * 3, list("甲乙丙丁" * 3), expected, metrics)
    found = analyze(report, metrics, num_resamples=5)
    assert found.values.tolist() == [1.0, 0.0, 0.0, 0.0] * 3
    assert found.classes == () and found.confusion.shape == (0, 0)
