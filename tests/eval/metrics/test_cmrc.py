import gzip
import json
import random

import numpy as np
import pytest
from nltk.tokenize import word_tokenize

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


MARKS = set("-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")


def questions(path):
    """The gold answers of each question, and what a system might answer."""
    data = json.loads(gzip.decompress(path.read_bytes()))["data"]
    generator = random.Random(3)
    for paragraph in (paragraph for article in data for paragraph in article["paragraphs"]):
        context = paragraph["context"]
        for question in paragraph["qas"]:
            gold = [answer["text"] for answer in question["answers"]]
            text, start = generator.choice(gold), generator.randrange(len(context))
            answers = [
                text,
                text[: generator.randrange(len(text) + 1)],
                f" “{text.upper()}”。",
                context[start : start + generator.randint(1, 40)],
                "",
            ]
            yield gold, generator.choice(answers)


def defined_tokens(text):
    """The definition, a character at a time: an ideograph ends the run of other characters."""
    tokens, run = [], ""
    for character in text.lower().strip():
        if character in MARKS:
            continue
        if "\u4e00" <= character <= "\u9fa5":
            tokens += [*word_tokenize(run, preserve_line=True), character]
            run = ""
        else:
            run += character
    return tokens + word_tokenize(run, preserve_line=True)


def defined_f1(prediction, answer):
    """F1 of the longest common run, from a table of all of them, a row at a time."""
    ours, theirs = defined_tokens(prediction), defined_tokens(answer)
    longest, above = 0, [0] * (len(theirs) + 1)
    for token in ours:
        row = [0] * (len(theirs) + 1)
        for j, other in enumerate(theirs):
            if token == other:
                row[j + 1] = above[j] + 1  # the run that ends with this pair
        longest, above = max(longest, *row), row
    return 2 * longest / (len(ours) + len(theirs)) if longest else 0.0


def defined_match(prediction, answer):
    left, right = (
        [c for c in text.lower().strip() if c not in MARKS] for text in (prediction, answer)
    )
    return left == right


@pytest.mark.parametrize(
    ("name", "count"),
    [("trial.json.gz", 1002), pytest.param("train.json.gz", 10142, marks=pytest.mark.slow)],
)
def test_every_question_of_the_data_scores_as_defined(shared_data, name, count):
    references, hypotheses = zip(*questions(shared_data / "cmrc2018" / name), strict=True)
    assert len(hypotheses) == count
    for metric, defined in ((CmrcF1(), defined_f1), (CmrcExactMatch(), defined_match)):
        found = metric.statistics(hypotheses, references)[:, 0]
        expected = [
            max(defined(text, answer) for answer in gold)
            for text, gold in zip(hypotheses, references, strict=True)
        ]
        np.testing.assert_allclose(found, expected, rtol=1e-12)
        assert 0.2 < found.mean() < 0.8


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
