"""What holds for every metric there is: statistics add, and the order does not matter.

The metrics are found by walking the package, so one that is new is held to it too; the table of
options below is beside that, for settings that take another path.
"""

import importlib.util
import inspect
import math
import pkgutil
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tflm.eval.metrics
from tflm.eval.catalog import metric_names, metrics_named
from tflm.eval.confidence import bootstrap
from tflm.eval.metrics import (
    BLEU,
    CHRF,
    F1,
    ROUGE,
    TER,
    Accuracy,
    Answer,
    Distinct,
    Likelihood,
    Metric,
    Output,
    Perplexity,
)
from tflm.eval.metrics.calibration import ProbabilityMetric
from tflm.eval.metrics.label_metric import LabelMetric
from tflm.eval.metrics.perplexity import _LikelihoodMetric
from tflm.eval.metrics.squad2 import _Squad2Metric

LABELS = ("负面", "neutral", "正面")
REQUIRED = {"target_language": "zh", "kind": "rougeLsum", "labels": LABELS}


def every_class():
    """The concrete metrics of every module, those of the last file added among them."""
    for module in pkgutil.iter_modules(tflm.eval.metrics.__path__):
        found = importlib.import_module(f"tflm.eval.metrics.{module.name}")
        for cls in vars(found).values():
            if inspect.isclass(cls) and issubclass(cls, Metric) and not inspect.isabstract(cls):
                if cls.__module__ == found.__name__ and not cls.__name__.startswith("_"):
                    yield cls


def made(cls):
    parameters = inspect.signature(cls).parameters.values()
    needed = [each.name for each in parameters if each.default is each.empty]
    needed = [name for name in needed if name not in ("args", "kwargs", "metric", "label")]
    return cls(**{name: REQUIRED[name] for name in needed})


BASES = {"SacreBLEUMetric"}  # made of an object of sacreBLEU
METRICS = {cls.__name__: made(cls) for cls in every_class() if cls.__name__ not in BASES}
METRICS |= {f"named {each.name}": each for each in metrics_named(metric_names(), "de", LABELS)}
METRICS |= {
    "chrf++": CHRF(word_order=2),
    "bleu lower case": BLEU("ja", tokenize="char", lowercase=True),
    "ter cased": TER("de", case_sensitive=True, no_punct=True),
    **{f"{kind} auto": ROUGE(kind) for kind in ("rouge1", "rouge2", "rougeL", "rougeLsum")},
    "rouge stemmed": ROUGE("rougeL", "en", stem=True),
    "rouge mean": ROUGE("rougeLsum", "zh", aggregate="mean"),
    "distinct1": Distinct(1),
    "character perplexity": Perplexity(unit="character"),
    "accuracy of sets": Accuracy(LABELS, multi_label=True),
    "f1 of sets": F1(LABELS, average="weighted", multi_label=True),
    "f1 of a label": F1(LABELS, positive="正面"),
}

WORDS = ["the", "dogs", "läuft", "Öl", ".", "\n", "我们", "去。", "京都", "東京へ", "كتاب", ""]
texts = st.lists(st.sampled_from(WORDS), max_size=7).map(" ".join)
outputs = st.builds(lambda text, cut: Output(text, truncated=cut), texts, st.booleans())
references = st.lists(texts, min_size=1, max_size=3)
label = st.sampled_from(LABELS)
chances = st.lists(st.integers(1, 9), min_size=3, max_size=3).map(
    lambda weights: [weight / sum(weights) for weight in weights]
)
answers = st.builds(Answer, texts, st.sampled_from([0.0, 0.25, 0.5, 0.75]))
likelihoods = st.builds(
    lambda value, count: Likelihood(-value, count), st.floats(0, 50), st.integers(1, 9)
)


def pairs(metric):
    """Pairs of a prediction and what is expected, of the kind that a metric reads."""
    if isinstance(metric, LabelMetric) and metric.multi_label:
        return st.tuples(st.sets(label), st.sets(label))
    if isinstance(metric, LabelMetric):
        return st.tuples(label, label)
    if isinstance(metric, ProbabilityMetric):
        return st.tuples(chances, label)
    if isinstance(metric, _LikelihoodMetric):
        return st.tuples(likelihoods, texts.map(lambda text: f"x {text}"))
    if isinstance(metric, _Squad2Metric):
        return st.tuples(answers, st.lists(texts, max_size=3))
    return st.tuples(outputs, references)


def example_of(metric):
    """One pair that is right."""
    if isinstance(metric, LabelMetric) and metric.multi_label:
        return {"正面"}, {"正面"}
    if isinstance(metric, LabelMetric):
        return "正面", "正面"
    if isinstance(metric, ProbabilityMetric):
        return [0.0, 0.0, 1.0], "正面"
    if isinstance(metric, _LikelihoodMetric):
        return Likelihood(-3.0, 2), "公园 here"
    return Output("我们 läuft", truncated=False), "我们 läuft"


def same(score, other):
    assert other.value == pytest.approx(score.value, rel=1e-12, nan_ok=True)
    assert other.components == pytest.approx(score.components, nan_ok=True)
    assert (other.signature, other.num_examples) == (score.signature, score.num_examples)


def test_every_public_metric_is_among_them():
    public = {getattr(tflm.eval.metrics, name) for name in tflm.eval.metrics.__all__}
    public = {cls for cls in public if inspect.isclass(cls) and issubclass(cls, Metric)}
    assert public - {Metric} <= {type(metric) for metric in METRICS.values()}
    assert len(public) > 20


@pytest.mark.parametrize("name", METRICS)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_statistics_add_over_any_split_in_any_order(name, data):
    metric = METRICS[name]
    examples = data.draw(st.lists(pairs(metric), min_size=2, max_size=6))
    hypotheses, expected = zip(*examples, strict=True)
    whole = metric.statistics(hypotheses, expected)
    order = data.draw(st.permutations(range(len(examples))))
    cut = data.draw(st.integers(1, len(examples) - 1))
    parts = []
    for chosen in (order[:cut], order[cut:]):
        rows = metric.statistics([hypotheses[i] for i in chosen], [expected[i] for i in chosen])
        np.testing.assert_array_equal(rows, whole[list(chosen)])
        parts.append(rows)
    score = metric.score(hypotheses, expected)
    assert score.num_examples == len(examples)
    same(score, metric.score_statistics(np.concatenate(parts)))
    if metric.adds:
        same(score, metric.score_statistics(parts[0].sum(axis=0) + parts[1].sum(axis=0)))
    else:
        with pytest.raises(ValueError, match="one row each"):
            metric.score_statistics(np.concatenate(parts).sum(axis=0))


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_has_a_bootstrap_interval(name):
    metric = METRICS[name]
    right = example_of(metric)
    hypotheses, expected = zip(*[right] * 5, strict=True)
    if isinstance(metric, LabelMetric | ProbabilityMetric):
        several = [{"负面"}, {"neutral"}] if getattr(metric, "multi_label", 0) else LABELS[:2]
        expected = (*expected[:3], *several)
    rows = metric.statistics(hypotheses, expected)
    interval = bootstrap(metric, rows, num_resamples=30)
    score = metric.score_statistics(rows)
    if not math.isnan(score.value):  # AUROC of one label
        assert interval.low - 1e-9 <= score.value <= interval.high + 1e-9
    assert bootstrap(metric, rows[:1], num_resamples=3).num_resamples == 3


@pytest.mark.parametrize("name", METRICS)
def test_no_example_is_refused(name):
    with pytest.raises(ValueError, match="must hold at least one"):
        METRICS[name].score([], [])
    hypothesis, expected = example_of(METRICS[name])
    rows = METRICS[name].statistics([hypothesis], [expected])
    with pytest.raises(ValueError, match="at least one example"):
        METRICS[name].score_statistics(rows[:0])


@pytest.mark.parametrize("name", METRICS)
def test_a_missing_reference_is_refused(name):
    metric = METRICS[name]
    hypothesis, expected = example_of(metric)
    with pytest.raises(ValueError, match="`references` must have one entry.* Received: 2 .*, 1 "):
        metric.score([hypothesis] * 2, [expected])
    with pytest.raises(ValueError, match="must hold at least one"):
        metric.check_references([])
    if isinstance(metric, _Squad2Metric):  # a question without an answer
        assert metric.check_references(["a", []]) == [("a",), ()]
    elif isinstance(metric, LabelMetric) and metric.multi_label:
        assert len(metric.check_references([["正面"], []])) == 2
    else:
        with pytest.raises((TypeError, ValueError), match=r"`references.*1\]"):
            metric.check_references([expected, []])


@pytest.mark.parametrize("name", METRICS)
def test_an_empty_hypothesis_has_a_score(name):
    metric = METRICS[name]
    if isinstance(metric, LabelMetric) and not metric.multi_label:
        with pytest.raises(ValueError, match="`hypotheses` must be among the labels"):
            metric.score([""], ["正面"])
    elif isinstance(metric, ProbabilityMetric):
        with pytest.raises(ValueError, match="`hypotheses` must have shape"):
            metric.score([[]], ["正面"])
    elif isinstance(metric, _LikelihoodMetric):
        assert metric.score([Likelihood(0.0, 1)], ["我们"]).value in (0, 1)  # bits, perplexity
    elif isinstance(metric, LabelMetric):
        assert metric.score([[]], [["正面"]]).value == 0
    else:
        score = metric.score([Output("", truncated=False)], ["我们 läuft"])
        worst = 100.0 if isinstance(metric, TER) else float(metric.name == "empty")
        assert score.value == pytest.approx(worst)


JAPANESE = ["私は東京へ行きます。", "コーヒーを飲みましたか。"]
HAS_MECAB = importlib.util.find_spec("ipadic") is not None


@pytest.mark.parametrize(
    "metric, texts",
    [
        (BLEU("zh"), ["我们要问问汤姆，看看他怎么想。", "水运工程项目的全过程管理"]),
        (BLEU("ja", tokenize=None if HAS_MECAB else "char"), JAPANESE),
        (BLEU("ar"), ["ذهب الولد إلى المدرسة صباحا.", "أحب قراءة الكتب في المساء كثيرا."]),
        (BLEU("th"), ["ไปโรงเรียนทุกวัน", "ฉันชอบกินข้าวผัด"]),
    ],
    ids=["zh", "ja", "ar", "th"],
)
def test_any_script_against_itself_has_a_bleu_of_100(metric, texts):
    assert metric.score(texts, texts).value == pytest.approx(100)
    # The two texts share no run of words.
    assert metric.score(texts[::-1], texts).value < 10


def test_chinese_against_a_shuffled_corpus_has_a_bleu_near_zero(shared_data):
    lines = (shared_data / "tatoeba_zh_en" / "dev.tsv").read_text(encoding="utf-8").split("\n")
    texts = [line.split("\t")[1] for line in lines[:500]]
    shuffled = random.Random(4).sample(texts, len(texts))
    assert BLEU("zh").score(shuffled, texts).value < 5
    assert BLEU("zh").score(texts, texts).value == pytest.approx(100)
