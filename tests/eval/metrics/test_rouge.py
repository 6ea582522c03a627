import gzip
import json
import pickle
import random

import numpy as np
import pytest
from rouge_score import rouge_scorer

from tflm.eval.baselines import baselines_for
from tflm.eval.metrics.rouge import ROUGE

KINDS = ("rouge1", "rouge2", "rougeL", "rougeLsum")
CHINESE = ["我们要问问汤姆，看看他怎么想。", "你为什么去京都？", "水运工程项目的全过程管理"]
JAPANESE = ["私は東京へ行きます。", "コーヒーを飲みましたか。"]
ARABIC = ["ذهب الولد إلى المدرسة صباحا.", "أحب قراءة الكتب في المساء كثيرا."]
THAI = ["ไปโรงเรียนทุกวัน", "ฉันชอบกินข้าวผัด"]


def rows(path):
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def lead(text):
    """What a system that copies says: the first three turns, one a line."""
    return "\n".join(text.split("\n")[:3])


@pytest.fixture(scope="module")
def corpora(shared_data):
    """Outputs and references of every English corpus with summaries."""
    samsum = rows(shared_data / "samsum" / "test.jsonl")[:300]
    dialogsum = rows(shared_data / "dialogsum" / "dev.jsonl")[:200]
    aeslc = rows(shared_data / "aeslc" / "dev.jsonl.gz")[:300]
    accented = [row for row in rows(shared_data / "samsum" / "test.jsonl") if not ascii_only(row)]
    return {
        "samsum": [(lead(row["dialogue"]), (row["summary"],)) for row in samsum],
        "samsum accented": [(row["summary"], (lead(row["dialogue"]),)) for row in accented],
        "dialogsum": [(lead(row["dialogue"]), (row["summary"],)) for row in dialogsum],
        "aeslc": [(row["body"][:90], (row["subject"], *row["annotations"])) for row in aeslc],
    }


def ascii_only(row):
    return row["summary"].isascii()


@pytest.mark.parametrize("corpus", ["samsum", "samsum accented", "dialogsum", "aeslc"])
@pytest.mark.parametrize("stem", [False, True], ids=["plain", "stemmed"])
def test_english_equals_rouge_score_on_every_example(corpus, stem, corpora):
    hypotheses, references = zip(*corpora[corpus], strict=True)
    scorer = rouge_scorer.RougeScorer(list(KINDS), use_stemmer=stem)
    expected = [
        scorer.score_multi(entry, text) for text, entry in zip(hypotheses, references, strict=True)
    ]
    for kind in KINDS:
        metric = ROUGE(kind, "en", stem=stem)
        statistics = metric.statistics(hypotheses, references)
        np.testing.assert_array_equal(statistics[:, -3:], [scores[kind] for scores in expected])
        score = metric.score_statistics(statistics)
        assert score.value == pytest.approx(np.mean([s[kind].fmeasure for s in expected]), 1e-12)
        assert 0 < score.value < 1
        means = np.mean([scores[kind] for scores in expected], axis=0)
        assert list(score.components.values()) == pytest.approx(means[:2].tolist())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("samsum/test.jsonl", 819),
        ("samsum/val.jsonl", 818),
        ("dialogsum/dev.jsonl", 493),
        ("aeslc/dev.jsonl.gz", 1960),
        ("aeslc/test.jsonl.gz", 1906),
    ],
)
def test_english_equals_rouge_score_on_whole_corpora(name, count, shared_data):
    examples = rows(shared_data / name)
    if name.startswith("aeslc"):
        pairs = [(row["body"], (row["subject"], *row["annotations"])) for row in examples]
        hypotheses, references = zip(*pairs, strict=True)
        (system,) = (each for each in baselines_for("summarization") if each.name == "lead_1")
        hypotheses = system.predict(hypotheses, references)
    else:
        hypotheses = [lead(row["dialogue"]) for row in examples]
        references = [(row["summary"],) for row in examples]
    assert len(hypotheses) == count
    for stem in (False, True):
        scorer = rouge_scorer.RougeScorer(list(KINDS), use_stemmer=stem)
        expected = [
            scorer.score_multi(gold, text)
            for text, gold in zip(hypotheses, references, strict=True)
        ]
        for kind in KINDS:
            found = ROUGE(kind, "en", stem=stem).statistics(hypotheses, references)[:, -3:]
            np.testing.assert_array_equal(found, [scores[kind] for scores in expected])


@pytest.mark.parametrize("corpus", ["samsum", "dialogsum", "aeslc"])
def test_the_text_of_english_corpora_chooses_rouge_scores_tokenizer(corpus, corpora):
    hypotheses, references = zip(*corpora[corpus], strict=True)
    chosen = ROUGE("rouge2").score(hypotheses, references)
    assert chosen == ROUGE("rouge2", "en").score(hypotheses, references)
    assert "|tok:rouge_score|" in chosen.signature


@pytest.mark.parametrize("language", ["de", "fr"])
def test_the_text_of_other_languages_chooses_unicode_words(language, shared_data):
    path = shared_data / "multi30k" / f"test_2016_flickr.{language}.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        references = lines.read().splitlines()[:300]
    score = ROUGE("rouge1").score(references[1:] + references[:1], references)
    assert "|tok:unicode|" in score.signature


def test_the_tokenizer_is_chosen_by_the_whole_corpus():
    english, german = ["the cat sat on the mat " * 20], ["Größe über Öl"]
    metric = ROUGE("rouge1")
    first, second = metric.statistics(english, english), metric.statistics(["Gr"], german)
    assert "tok:rouge_score" in metric.score_statistics(first).signature
    assert "tok:unicode" in metric.score_statistics(second).signature
    # Of 487 characters three are letters outside ASCII.
    assert "tok:unicode" in metric.score_statistics(first[0] + second[0]).signature
    assert "tok:rouge_score" in metric.score_statistics(3 * first[0] + second[0]).signature


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("texts", [CHINESE, JAPANESE, ARABIC, THAI], ids=["zh", "ja", "ar", "th"])
def test_any_script_against_itself_scores_one(kind, texts):
    score = ROUGE(kind).score(texts, texts)
    assert score.value == 1.0
    assert "|tok:unicode|" in score.signature


def test_chinese_against_a_shuffled_corpus_scores_near_zero(shared_data):
    titles = [row["title"] for row in rows(shared_data / "csl_title" / "dev.jsonl")[:300]]
    shuffled = random.Random(4).sample(titles, len(titles))
    # Characters such as 的 are in most titles, pairs of them are not.
    assert ROUGE("rouge2").score(shuffled, titles).value < 0.05
    assert ROUGE("rouge1").score(shuffled, titles).value < 0.2
    assert ROUGE("rouge2").score(titles, titles).value == 1.0


def test_one_wrong_character_costs_its_share():
    score = ROUGE("rouge1", "zh").score(["他去东京"], ["他去北京"])
    assert score.value == pytest.approx(3 / 4)
    assert score.components == {"precision": 3 / 4, "recall": 3 / 4}


def test_sentences_of_a_summary_may_come_in_another_order():
    hypotheses, references = ["他累了。我们去了北京。"], ["我们去了北京。他累了。"]
    assert ROUGE("rougeLsum", "zh").score(hypotheses, references).value == 1.0
    assert ROUGE("rougeL", "zh").score(hypotheses, references).value < 0.8
    assert "split:newline+cjk" in ROUGE("rougeLsum").score(hypotheses, references).signature


def test_english_summaries_are_split_at_line_breaks_only():
    hypotheses, references = ["He slept. We ate."], ["We ate. He slept."]
    score = ROUGE("rougeLsum", "en").score(hypotheses, references)
    assert score.value == 0.5
    assert "split:newline|" in score.signature
    lines = [text.replace(". ", ".\n") for text in (*hypotheses, *references)]
    assert ROUGE("rougeLsum", "en").score(lines[:1], lines[1:]).value == 1.0


def test_several_references_make_their_maximum_or_their_mean():
    hypotheses, references = ["他去北京"], [["他去北京", "我们去了东京都"]]
    best = ROUGE("rouge1", "zh").score(hypotheses, references)
    mean = ROUGE("rouge1", "zh", aggregate="mean").score(hypotheses, references)
    assert best.value == 1.0
    assert mean.value == pytest.approx((1 + 4 / 11) / 2)
    assert best.signature == "nrefs:2|agg:max|tok:unicode|stem:no|version:0.1.2"
    assert mean.signature == "nrefs:2|agg:mean|tok:unicode|stem:no|version:0.1.2"
    uneven = ROUGE("rouge1", "zh").score(["他", "她"], [["他", "它"], ["她"]])
    assert uneven.signature.startswith("nrefs:var|")


def test_names_and_labels():
    assert [ROUGE(kind).name for kind in KINDS] == list(KINDS)
    assert ROUGE("rougeL", "en", stem=True, aggregate="mean").name == "rougeL_stem_mean"
    assert ROUGE("rougeLsum", name="summary").score(["a"], ["a"]).name == "summary"
    assert ROUGE("rougeLsum").score(["a"], ["a"]).label == "ROUGE-Lsum"
    assert "1.0000" in ROUGE("rouge1").score(["a"], ["a"]).format()


@pytest.mark.parametrize("kind", KINDS)
def test_empty_text_scores_zero(kind):
    assert ROUGE(kind).score(["", "，。"], ["ein Hund", "去京都"]).value == 0
    assert ROUGE(kind).score(["ein Hund"], [""]).value == 0
    assert ROUGE(kind).score([""], [""]).value == 0


def test_no_example_and_no_reference_are_refused():
    with pytest.raises(ValueError, match="`hypotheses` must hold at least one string"):
        ROUGE("rouge1").score([], [])
    with pytest.raises(ValueError, match=r"`references\[0\]` must hold at least one string"):
        ROUGE("rouge1").score(["a"], [[]])


def test_a_metric_can_be_sent_to_another_process():
    metric = ROUGE("rougeL")
    copy = pickle.loads(pickle.dumps(metric))
    assert copy.score(CHINESE, CHINESE[::-1]) == metric.score(CHINESE, CHINESE[::-1])


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"kind": "rougeW"}, "`kind` must be one of rouge1, .*Lsum. Received: kind='rougeW'"),
        ({"aggregate": "min"}, "`aggregate` must be one of max, mean. Received: aggregate='min'"),
        ({"tokenize": "13a"}, "`tokenize` must be one of rouge_score, unicode. Received: .*'13a'"),
        ({"stem": True, "target_language": "de"}, "`stem` must be False .*Received: stem=True.*de"),
        ({"target_language": "German"}, "`target_language` must be a language code"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ROUGE(**{"kind": "rouge1", **arguments})
