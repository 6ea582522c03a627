import gzip
import json

import pytest

from tflm.eval.metrics.cmrc import CmrcExactMatch, CmrcF1, mixed_tokens, without_punctuation


def test_ideographs_stand_alone_and_other_text_is_words():
    assert mixed_tokens("在2007年由Peter Rose所命名。") == (
        *("在", "2007", "年", "由", "peter", "rose", "所", "命", "名"),
    )


def test_the_marks_of_the_list_do_not_count():
    assert without_punctuation("  《红楼梦》：“石头-记”（上）～ ") == "红楼梦石头记上"


def test_marks_outside_the_list_count():
    # The ellipsis, the full-width comma's ASCII twin and straight quotes are not in the list.
    assert without_punctuation('好…… (A),"b"') == '好…… (a),"b"'
    assert CmrcExactMatch().score(["好……"], ["好"]).value == 0


def test_removed_marks_join_what_they_separated():
    assert mixed_tokens("3-4 and/or") == ("34", "andor")


def test_f1_is_that_of_the_longest_common_run():
    # "北京" of 4 and 5 characters, although four characters are shared.
    score = CmrcF1().score(["北京上海"], ["北京和上海"]).value
    assert score == pytest.approx(100 * 2 * (2 / 4) * (2 / 5) / (2 / 4 + 2 / 5))


def test_the_best_gold_answer_counts():
    answers = [["石头记", "《红楼梦》"]]
    assert CmrcExactMatch().score(["红楼梦"], answers).value == 100
    assert CmrcF1().score(["红楼梦"], answers).value == 100


def test_nothing_in_common_and_empty_answers_score_0():
    assert CmrcF1().score(["上海", "", "。"], ["北京", "北京", "。"]).value == 0
    # Two answers that are only marks are equal for exact match.
    assert CmrcExactMatch().score(["。"], ["，"]).value == 100


def test_case_does_not_matter():
    assert CmrcF1().score(["nba球员"], ["NBA球员"]).value == 100
    assert CmrcExactMatch().score(["nba球员"], ["NBA球员"]).value == 100


def test_long_answers_are_compared_whole():
    # difflib would by default drop what is frequent in sequences of 200 and more.
    text = "的" * 150 + "北京" * 60
    assert CmrcF1().score([text], [text + "上"]).value == pytest.approx(100 * 540 / 541)


def test_gold_answers_of_the_data_score_100_against_themselves(shared_data):
    data = json.loads(gzip.decompress((shared_data / "cmrc2018/trial.json.gz").read_bytes()))
    questions = [q for a in data["data"] for p in a["paragraphs"] for q in p["qas"]]
    references = [[answer["text"] for answer in q["answers"]] for q in questions]
    hypotheses = [gold[-1] for gold in references]
    assert len(questions) == 1002
    assert CmrcExactMatch().score(hypotheses, references).value == 100
    assert CmrcF1().score(hypotheses, references).value == 100
    others = hypotheses[1:] + hypotheses[:1]
    assert CmrcExactMatch().score(others, references).value < 1
    assert CmrcF1().score(others, references).value < 15


def test_scores_carry_the_definition():
    signature = CmrcF1().score(["北京"], ["北京"]).signature
    assert signature.startswith("cmrc:2018|case:lc|punct:no|tok:mixed-nltk-3.")
    assert CmrcExactMatch(name="em").score(["北京"], ["北京"]).format() == (
        "EM|cmrc:2018|case:lc|punct:no|refs:max = 100.00 (1 example)"
    )
