"""What holds for every metric of generated text: statistics add, and the order does not matter."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tflm.eval.metrics import (
    BLEU,
    CHRF,
    ROUGE,
    TER,
    Distinct,
    EmptyShare,
    LengthRatio,
    Output,
    Repetition,
    TruncatedShare,
)

METRICS = {
    "bleu": BLEU("de"),
    "bleu zh": BLEU("zh"),
    "chrf": CHRF(),
    "chrf++": CHRF(word_order=2),
    "ter": TER("de"),
    "ter zh": TER("zh"),
    **{kind: ROUGE(kind) for kind in ("rouge1", "rouge2", "rougeL", "rougeLsum")},
    "rouge en": ROUGE("rougeL", "en", stem=True),
    "rouge zh mean": ROUGE("rougeLsum", "zh", aggregate="mean"),
    "distinct1": Distinct(1),
    "repetition2": Repetition(2),
    "length ratio": LengthRatio(),
    "empty": EmptyShare(),
    "truncated": TruncatedShare(),
}
WORDS = ["the", "dogs", "läuft", "Öl", ".", "\n", "我们", "去。", "京都", "東京へ", "كتاب", ""]

texts = st.lists(st.sampled_from(WORDS), max_size=7).map(" ".join)
outputs = st.builds(lambda text, cut: Output(text, truncated=cut), texts, st.booleans())
examples = st.lists(
    st.tuples(outputs, st.lists(texts, min_size=1, max_size=3)), min_size=2, max_size=6
)


@pytest.mark.parametrize("name", METRICS)
@settings(max_examples=15, deadline=None)
@given(examples=examples, data=st.data())
def test_statistics_add_over_any_split_in_any_order(name, examples, data):
    metric = METRICS[name]
    hypotheses, references = zip(*examples, strict=True)
    whole = metric.statistics(hypotheses, references)
    order = data.draw(st.permutations(range(len(examples))))
    cut = data.draw(st.integers(1, len(examples) - 1))
    parts = []
    for chosen in (order[:cut], order[cut:]):
        rows = metric.statistics([hypotheses[i] for i in chosen], [references[i] for i in chosen])
        np.testing.assert_array_equal(rows, whole[list(chosen)])
        parts.append(rows.sum(axis=0))
    score = metric.score(hypotheses, references)
    summed = metric.score_statistics(parts[0] + parts[1])
    assert summed.value == pytest.approx(score.value, rel=1e-12)
    assert summed.components == pytest.approx(score.components)
    assert (summed.signature, summed.num_examples) == (score.signature, len(examples))


@pytest.mark.parametrize("name", METRICS)
def test_no_example_is_refused(name):
    with pytest.raises(ValueError, match="`hypotheses` must hold at least one"):
        METRICS[name].score([], [])
    rows = METRICS[name].statistics([Output("a", truncated=False)], ["a"])
    with pytest.raises(ValueError, match="at least one example"):
        METRICS[name].score_statistics(rows[:0])


@pytest.mark.parametrize("name", METRICS)
def test_a_missing_reference_is_refused(name):
    with pytest.raises(ValueError, match="`references` must have one entry.* Received: 2 .*, 1 "):
        METRICS[name].score([Output("a", truncated=False)] * 2, ["a"])
    with pytest.raises(ValueError, match=r"`references\[1\]` must hold at least one string"):
        METRICS[name].score([Output("a", truncated=False)] * 2, ["a", []])


@pytest.mark.parametrize("name", METRICS)
def test_an_empty_hypothesis_has_a_score(name):
    metric = METRICS[name]
    score = metric.score([Output("", truncated=False)], ["我们 läuft"])
    worst = {"ter": 100, "ter zh": 100, "empty": 1}.get(name, 0)
    assert score.value == pytest.approx(worst)


@pytest.mark.parametrize(
    "metric, texts",
    [
        (BLEU("zh"), ["我们要问问汤姆，看看他怎么想。", "水运工程项目的全过程管理"]),
        (BLEU("ja", tokenize="char"), ["私は東京へ行きます。", "コーヒーを飲みましたか。"]),
        (BLEU("ar"), ["ذهب الولد إلى المدرسة صباحا.", "أحب قراءة الكتب في المساء كثيرا."]),
    ],
    ids=["zh", "ja", "ar"],
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
