import gzip
import json
import random

import pytest

from tflm.eval.metrics.squad import SquadExactMatch, SquadF1, exact_match, normalized_words, word_f1

FILES = [
    "squad/dev.json.gz",
    "squadshifts/new_wiki.json.gz",
    "squadshifts/reddit.json.gz",
    "squadshifts/amazon.json.gz",
]


def spoil(generator, gold, context):
    """What a system might answer: the answer, part of it, more than it, another span, nothing."""
    words, kind = gold.split(), generator.random()
    if kind < 0.3:
        return gold
    if kind < 0.5:
        return " ".join(word for word in words if generator.random() < 0.6)
    if kind < 0.6:
        return f"The {gold.upper()}, \u201cin all\u201d."
    if kind < 0.95:
        span = context.split()
        start = generator.randrange(len(span))
        return " ".join(span[start : start + generator.randint(1, 8)])
    return ""


def read(path):
    """The questions of a SQuAD file: its data, predictions by id, and both as lists."""
    data = json.loads(gzip.decompress(path.read_bytes()))["data"]
    generator = random.Random(5)
    predictions, hypotheses, references = {}, [], []
    for article in data:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                gold = [answer["text"] for answer in question["answers"]]
                chosen = generator.choice(gold)
                prediction = spoil(generator, chosen, paragraph["context"])
                predictions[question["id"]] = prediction
                hypotheses.append(prediction)
                references.append(gold)
    return data, predictions, hypotheses, references


@pytest.mark.parity
@pytest.mark.parametrize("name", FILES)
def test_every_question_of_the_data_scores_as_the_published_script_has_it(shared_data, name):
    script = pytest.importorskip(
        "official.nlp.tools.squad_evaluate_v1_1",
        reason="needs the SQuAD script: pip install --no-deps tf-models-official",
    )
    data, predictions, hypotheses, references = read(shared_data / name)
    expected = script.evaluate(data, predictions)
    # The script keeps one prediction for an id that occurs twice.
    assert len(predictions) == len(hypotheses) > 5000
    exact = SquadExactMatch().score(hypotheses, references).value
    f1 = SquadF1().score(hypotheses, references).value
    assert exact == pytest.approx(100 * expected["exact_match"], abs=1e-9)
    assert f1 == pytest.approx(100 * expected["final_f1"], abs=1e-9)
    assert 20 < exact < 60 and exact < f1 < 80


@pytest.mark.parametrize(
    "text, words",
    [
        ("The  Theatre, an A-list\tAnd", ["theatre", "alist", "and"]),
        ("a.m.", ["am"]),  # punctuation goes before articles do
        ("\u201cthe\u201d end\u2014of", ["\u201c", "\u201d", "end\u2014of"]),
        ("$1,000.50", ["100050"]),
        ("an", []),
        ("北京，中国", ["北京，中国"]),
    ],
)
def test_normalization(text, words):
    assert normalized_words(text) == words


def test_words_are_a_bag_for_f1_and_a_list_for_exact_match():
    assert word_f1("york new", "New York") == 1
    assert exact_match("york new", "New York") == 0


def test_two_answers_of_nothing_but_articles_match_and_have_no_f1():
    assert (exact_match("the", "a"), word_f1("the", "a")) == (1, 0)


def test_an_empty_answer_is_wrong():
    assert SquadF1().score(["", "Rome"], ["Rome", "Rome"]).value == 50
    assert SquadExactMatch().score(["", "Rome"], ["Rome", "Rome"]).value == 50


def test_scores_carry_the_definition():
    score = SquadF1().score(["Rome"], ["in Rome"])
    assert score.format() == (
        "F1|squad:1.1|case:lc|punct:no|articles:no|refs:max = 66.67 (1 example)"
    )
    assert SquadExactMatch(name="em").score(["Rome"], ["in Rome"]).name == "em"
