"""What holds for every metric that sacreBLEU computes."""

import csv
import gzip
import random

import numpy as np
import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st

from tflm.eval.metrics import sacrebleu_metric
from tflm.eval.metrics.bleu import BLEU
from tflm.eval.metrics.chrf import CHRF
from tflm.eval.metrics.ter import TER

# Every metric beside the plain sacreBLEU object that must give the same number.
PAIRS = {
    "bleu": (BLEU("de"), sacrebleu.BLEU()),
    "bleu lower case": (BLEU("de", lowercase=True), sacrebleu.BLEU(lowercase=True)),
    "bleu zh": (BLEU("zh"), sacrebleu.BLEU(tokenize="zh")),
    "bleu char": (BLEU("zh", tokenize="char"), sacrebleu.BLEU(tokenize="char")),
    "bleu intl": (BLEU("de", tokenize="intl"), sacrebleu.BLEU(tokenize="intl")),
    "chrf": (CHRF(), sacrebleu.CHRF()),
    "chrf++": (CHRF(word_order=2), sacrebleu.CHRF(word_order=2)),
    "chrf lower case": (CHRF(lowercase=True), sacrebleu.CHRF(lowercase=True)),
    "ter": (TER("de"), sacrebleu.TER()),
    "ter zh": (TER("zh"), sacrebleu.TER(normalized=True, asian_support=True)),
    "ter cased": (
        TER("de", case_sensitive=True, no_punct=True),
        sacrebleu.TER(case_sensitive=True, no_punct=True),
    ),
}
WORDS = ["der", "Hund", "hund", "läuft", "im", "Park", ".", "!", "我们", "去", "京都", "，", ""]


def damaged(text, generator, pieces):
    """Drop, repeat and swap a few words (or characters, for text without spaces)."""
    words = pieces(text)
    words = [word for word in words for _ in range(generator.choice([0, 1, 1, 1, 1, 1, 2]))]
    if len(words) > 3 and generator.random() < 0.5:
        at = generator.randrange(len(words) - 1)
        words[at], words[at + 1] = words[at + 1], words[at]
    return ("" if pieces is list else " ").join(words)


def streams(references):
    """One list per example, as sacreBLEU wants them: one list per reference number."""
    return [list(stream) for stream in zip(*references, strict=True)]


@pytest.fixture(scope="module")
def german(shared_data):
    with gzip.open(
        shared_data / "multi30k" / "test_2016_flickr.de.gz", "rt", encoding="utf-8"
    ) as f:
        references = f.read().splitlines()[:150]
    generator = random.Random(1)
    return [damaged(text, generator, str.split) for text in references], references


@pytest.fixture(scope="module")
def chinese(shared_data):
    with open(shared_data / "tatoeba_zh_en" / "dev.tsv", encoding="utf-8", newline="") as f:
        rows = list(csv.reader(f, delimiter="\t", quoting=csv.QUOTE_NONE))
    references = [row[1] for row in rows[:150]]
    generator = random.Random(2)
    return [damaged(text, generator, list) for text in references], references


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("language", ["german", "chinese"])
def test_scores_and_signatures_equal_sacrebleus_own(name, language, request):
    hypotheses, references = request.getfixturevalue(language)
    ours, theirs = PAIRS[name]
    expected = theirs.corpus_score(hypotheses, [references])
    score = ours.score(hypotheses, references)
    assert score.value == expected.score
    assert score.value < 100
    assert score.signature == theirs.get_signature().format()
    assert score.label.removesuffix(" (lower case)") == expected.name
    assert score.num_examples == 150


@pytest.mark.parametrize("name", PAIRS)
def test_several_references_equal_sacrebleus_own(name, german):
    hypotheses, first = german
    generator = random.Random(3)
    references = [
        (text, damaged(text, generator, str.split), damaged(text, generator, str.split))
        for text in first
    ]
    ours, theirs = PAIRS[name]
    expected = theirs.corpus_score(hypotheses, streams(references))
    score = ours.score(hypotheses, references)
    # TER averages lengths over references, so the order of its additions shows in the last digit.
    assert score.value == pytest.approx(expected.score, rel=1e-12)
    assert score.signature == theirs.get_signature().format()
    assert "nrefs:3" in score.signature


@pytest.mark.parametrize("name", PAIRS)
def test_different_numbers_of_references_equal_sacrebleus_own(name, german):
    hypotheses, references = german[0][:7], german[1][:7]
    uneven = [[text, "Ein Hund."][: 1 + i % 2] for i, text in enumerate(references)]
    second = ["Ein Hund." if i % 2 else None for i in range(7)]
    ours, theirs = PAIRS[name]
    expected = theirs.corpus_score(hypotheses, [references, second])
    score = ours.score(hypotheses, uneven)
    assert score.value == pytest.approx(expected.score, rel=1e-12)
    assert score.signature == theirs.get_signature().format()
    assert "nrefs:var" in score.signature


@pytest.mark.parametrize("name", PAIRS)
def test_a_perfect_copy_scores_best(name):
    metric, _ = PAIRS[name]
    texts = ["Ein Hund läuft im Park .", "我们要问问汤姆，看看他怎么想。"]
    assert metric.score(texts, texts).value == pytest.approx(100 if metric.higher_is_better else 0)


@pytest.mark.parametrize("name", PAIRS)
def test_disjoint_text_scores_worst(name):
    metric, _ = PAIRS[name]
    value = metric.score(["xxx yyy zzz"], ["aaa bbb ccc"]).value
    assert value == pytest.approx(0 if metric.higher_is_better else 100)


@pytest.mark.parametrize("name", PAIRS)
def test_empty_hypotheses_score_worst(name):
    metric, theirs = PAIRS[name]
    score = metric.score(["", "  "], ["ein Hund", "去京都"])
    assert score.value == theirs.corpus_score(["", "  "], [["ein Hund", "去京都"]]).score
    assert score.value == pytest.approx(0 if metric.higher_is_better else 100)


@pytest.mark.parametrize("name", PAIRS)
def test_an_empty_reference_is_scored_as_sacrebleu_does(name):
    metric, theirs = PAIRS[name]
    expected = theirs.corpus_score(["ein Hund", "im Park"], [["", "im Park"]]).score
    assert metric.score(["ein Hund", "im Park"], ["", "im Park"]).value == expected


texts = st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join)
examples = st.lists(
    st.tuples(texts, st.lists(texts, min_size=1, max_size=3)), min_size=2, max_size=6
)


@pytest.mark.parametrize("name", PAIRS)
@settings(max_examples=20, deadline=None)
@given(examples=examples, data=st.data())
def test_statistics_add_over_any_split(name, examples, data):
    metric, _ = PAIRS[name]
    cut = data.draw(st.integers(1, len(examples) - 1))
    hypotheses, references = zip(*examples, strict=True)
    whole = metric.statistics(hypotheses, references)
    first = metric.statistics(hypotheses[:cut], references[:cut])
    second = metric.statistics(hypotheses[cut:], references[cut:])
    np.testing.assert_array_equal(whole, np.concatenate([first, second]))
    parts = metric.score_statistics(first.sum(axis=0) + second.sum(axis=0))
    score = metric.score(hypotheses, references)
    assert parts.value == pytest.approx(score.value, rel=1e-12)
    assert (parts.signature, parts.num_examples) == (score.signature, len(examples))


def test_a_score_does_not_depend_on_what_was_scored_before():
    metric = BLEU("de")
    statistics = metric.statistics(["ein Hund"], [["ein Hund", "der Hund"]])
    metric.score(["im Park", "im Haus", "im Wald"], ["im Park", "im Haus", "im Wald"])
    score = metric.score_statistics(statistics)
    assert (score.num_examples, score.signature.split("|")[0]) == (1, "nrefs:2")


def test_statistics_of_no_example_are_refused():
    metric = CHRF()
    statistics = metric.statistics(["a"], ["a"])
    with pytest.raises(ValueError, match="must be those of at least one example. Received: 0"):
        metric.score_statistics(0 * statistics[0])
    with pytest.raises(ValueError, match=r"at least one example, .* Received: shape=\(0, "):
        metric.score_statistics(statistics[:0])


@pytest.mark.parametrize("name", ["bleu", "chrf", "ter"])
def test_blocks_do_not_change_the_statistics(name, monkeypatch):
    metric, _ = PAIRS[name]
    hypotheses = [f"der Hund {i} läuft" for i in range(11)]
    references = [["ein Hund", "im Park"][: 1 + (i > 7)] for i in range(11)]
    whole = metric.statistics(hypotheses, references)
    monkeypatch.setattr(sacrebleu_metric, "_EXAMPLES_AT_ONCE", 3)
    np.testing.assert_array_equal(metric.statistics(hypotheses, references), whole)


def test_tokenized_text_is_warned_of_once_per_corpus(caplog):
    metric = BLEU("de")
    texts = ["ein Hund ."] * 2300
    for _ in range(2):
        caplog.clear()
        metric.statistics(texts, texts)
        assert caplog.text.count("That's 100 lines that end in a tokenized period") == 1
