import gzip
import json
import pickle
import random

import numpy as np
import pytest

from tflm.eval.confidence import bootstrap
from tflm.eval.metrics.cmrc import CmrcExactMatch, CmrcF1
from tflm.eval.metrics.squad import SquadF1
from tflm.eval.metrics.squad2 import Answer, Squad2ExactMatch, Squad2F1

METRICS = {"exact": Squad2ExactMatch, "f1": Squad2F1}


def read(shared_data, ties=False):
    """SQuAD 2.0 with answers of a system that knows something: spans, nothing, probabilities."""
    data = json.loads(gzip.decompress((shared_data / "squad_v2/dev.json.gz").read_bytes()))["data"]
    generator = random.Random(7)
    texts, probabilities, answers, references = {}, {}, [], []
    for article in data:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                gold = [answer["text"] for answer in question["answers"]]
                words = paragraph["context"].split()
                start = generator.randrange(len(words))
                text = " ".join(words[start : start + 3])
                if gold and generator.random() < 0.6:
                    text = generator.choice(gold)
                if generator.random() < 0.3:
                    text = ""
                belief = generator.betavariate(2, 3) if gold else generator.betavariate(3, 2)
                belief = round(belief, 1) if ties else belief
                texts[question["id"]], probabilities[question["id"]] = text, belief
                answers.append(Answer(text, belief))
                references.append(gold)
    return data, texts, probabilities, answers, references


@pytest.fixture(scope="module")
def script():
    return pytest.importorskip(
        "official.nlp.tools.squad_evaluate_v2_0",
        reason="needs the SQuAD script: pip install --no-deps tf-models-official",
    )


@pytest.mark.parity
@pytest.mark.parametrize("part", METRICS)
def test_every_question_of_the_data_scores_as_the_published_script_has_it(
    shared_data, script, part
):
    data, texts, probabilities, answers, references = read(shared_data)
    expected = script.evaluate(data, texts, probabilities)
    score = METRICS[part]().score(answers, references)
    assert score.num_examples == len(answers) == expected["total"] == 5690
    assert score.value == pytest.approx(expected[part], abs=1e-9)
    assert score.components["has_answer"] == pytest.approx(expected[f"HasAns_{part}"], abs=1e-9)
    assert score.components["no_answer"] == pytest.approx(expected[f"NoAns_{part}"], abs=1e-9)
    assert score.components["has_answer_examples"] == expected["HasAns_total"]
    assert score.components["no_answer_examples"] == expected["NoAns_total"]
    assert score.components["best"] == pytest.approx(expected[f"final_{part}"], abs=1e-9)
    assert score.components["best_threshold"] == expected[f"final_{part}_thresh"]
    # A score at the best threshold is the best score, so that it can be asked for.
    at_best = METRICS[part](threshold=score.components["best_threshold"])
    refused = [a if a.no_answer_probability <= at_best.threshold else "" for a in answers]
    assert (
        at_best.score(answers, references).value == METRICS[part]().score(refused, references).value
    )


@pytest.mark.parity
@pytest.mark.parametrize("part", METRICS)
def test_without_probabilities_there_is_no_threshold(shared_data, script, part):
    data, texts, _, answers, references = read(shared_data)
    score = METRICS[part]().score([str(answer) for answer in answers], references)
    assert score.value == pytest.approx(script.evaluate(data, texts)[part], abs=1e-9)
    assert "best" not in score.components


def test_the_best_threshold_is_the_best_of_all(shared_data):
    *_, answers, references = read(shared_data, ties=True)
    answers, references = answers[:500], references[:500]
    components = Squad2F1().score(answers, references).components
    # Not answering a question that was answered with nothing changes no score.
    tried = {
        cut: Squad2F1(threshold=cut).score(answers, references).value
        for cut in np.arange(-1, 11) / 10
    }
    assert components["best"] == pytest.approx(max(tried.values()))
    assert tried[components["best_threshold"]] == pytest.approx(components["best"])


def test_the_order_of_questions_with_equal_probabilities_does_not_matter():
    answers = [Answer("Rome", 0.5), Answer("Oslo", 0.5), Answer("Bonn", 0.9)]
    references = [["Rome"], [], []]
    metric = Squad2ExactMatch()
    expected = metric.score(answers, references)
    assert expected.components["best"] == pytest.approx(200 / 3)
    assert metric.score(answers[::-1], references[::-1]) == expected


def test_answering_nothing_can_be_best():
    components = Squad2F1().score([Answer("x", 0.4), Answer("y", 0.6)], [[], []]).components
    assert (components["best"], components["best_threshold"]) == (100, 0)


def test_an_unanswerable_question_wants_the_empty_answer():
    for metric in (Squad2F1(), Squad2ExactMatch()):
        score = metric.score(["", "Rome", "the"], [[], "", []])
        # "the" has no words, so it equals the empty answer.
        assert score.value == pytest.approx(200 / 3)
        assert "has_answer" not in score.components


def test_gold_answers_without_words_are_the_empty_answer():
    assert Squad2F1().score([""], [["the", "..."]]).value == 100
    assert Squad2F1().score(["Rome"], [["the", "Rome"]]).value == 100


def test_parts_are_concatenated_and_a_sum_is_refused():
    metric = Squad2F1()
    answers = [Answer("Rome", 0.1), Answer("", 0.9), Answer("北京", 0.4)]
    references = [["in Rome"], [], ["北京"]]
    parts = [metric.statistics(answers[:1], references[:1])]
    parts.append(metric.statistics(answers[1:], references[1:]))
    whole = metric.score(answers, references)
    assert metric.score_statistics(np.concatenate(parts)) == whole
    assert not metric.adds
    with pytest.raises(ValueError, match=r"one row each.* Received: shape=\(4,\)"):
        metric.score_statistics(np.concatenate(parts).sum(axis=0))


def test_scores_carry_the_threshold():
    signature = Squad2F1(threshold=0.25).score([Answer("Rome", 0.3)], [["Rome"]]).signature
    assert signature == "squad:2.0|case:lc|punct:no|articles:no|refs:max|no_answer>0.25"


def test_chinese_answers_are_compared_as_cmrc_compares_them():
    answers = [Answer("《红楼梦》", 0.1), Answer("曹雪芹写的", 0.2), Answer("没有", 0.9)]
    references = [["红楼梦"], ["曹雪芹"], []]
    exact, f1 = (
        metric(language="zh", threshold=0.5).score(answers, references)
        for metric in (Squad2ExactMatch, Squad2F1)
    )
    assert exact.value == pytest.approx(200 / 3) and exact.components["has_answer"] == 50
    assert f1.components["has_answer"] == pytest.approx((100 + 75) / 2)
    for score, metric in ((exact, CmrcExactMatch()), (f1, CmrcF1())):
        assert score.components["no_answer"] == 100
        assert score.components["has_answer"] == metric.score(answers[:2], references[:2]).value
        own = metric.score(answers[:2], references[:2]).signature
        assert score.signature == f"squad:2.0|{own}|no_answer>0.5"
    english = Squad2F1(threshold=0.5).score(answers, references)
    assert english.components["has_answer"] == 0  # one word, which is another
    # Marks alone are the empty answer.
    for metric in (Squad2ExactMatch(language="zh-CN"), Squad2F1(language="zh-CN")):
        assert metric.score(["《》", "。", "x"], [[], ["，"], []]).value == pytest.approx(200 / 3)


def test_an_answer_is_a_string_that_knows_its_probability():
    answer = Answer("罗马", 0.2)
    assert answer == "罗马" and str(answer) == "罗马" and not Answer("", 0.9)
    copy = pickle.loads(pickle.dumps(answer))
    assert (copy, copy.no_answer_probability) == (answer, 0.2)
    assert SquadF1().score([answer], [["罗马"]]).value == 100


def test_other_predictions_are_refused():
    with pytest.raises(TypeError, match=r"strings or `Answer`s. Received: hypotheses\[1\]=0.5"):
        Squad2F1().score(["Rome", 0.5], [["Rome"], []])
    with pytest.raises(ValueError, match="`no_answer_probability` must be a finite number"):
        Squad2F1().score([Answer("Rome", float("nan"))], [["Rome"]])
    with pytest.raises(ValueError, match="`references` must have one entry"):
        Squad2F1().score(["Rome"], [["Rome"], []])
    with pytest.raises(TypeError, match=r"`references\[0\]` must be a list of strings"):
        Squad2F1().check_references([[3]])


def test_a_bootstrap_draws_rows():
    answers = [Answer("Rome", 0.1), Answer("Oslo", 0.9), Answer("北京", 0.4), Answer("", 0.7)]
    metric = Squad2ExactMatch()
    rows = metric.statistics(answers, [["Rome"], [], ["北京"], ["Bonn"]])
    interval = bootstrap(metric, rows, num_resamples=40)
    assert interval.low < metric.score_statistics(rows).value == 50 < interval.high
