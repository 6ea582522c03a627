import pytest

from tflm.eval.metrics.diversity import Distinct, Repetition


@pytest.mark.parametrize(
    "text, n, distinct",
    [
        ("a b a b a", 1, 2 / 5),
        ("a b a b a", 2, 2 / 4),
        ("a b c d e", 4, 1),
        ("!!!!", 2, 1 / 3),
        ("很好很好很好", 2, 2 / 5),
        ("Very very VERY", 1, 1 / 3),
    ],
)
def test_distinct_and_repetition_count_ngrams_of_any_script(text, n, distinct):
    assert Distinct(n).score([text]).value == pytest.approx(distinct)
    assert Repetition(n).score([text]).value == pytest.approx(1 - distinct)


def test_outputs_without_ngrams_are_left_out():
    score = Distinct(2).score(["很", "", "a b", "c c c"])
    assert score.value == pytest.approx((1 + 1 / 2) / 2)
    assert (score.num_examples, score.components["num_counted"]) == (4, 2)
    assert Repetition(3).score([""]).value == 0


def test_a_larger_corpus_of_the_same_texts_is_as_diverse():
    texts = ["so it goes, so it goes", "一去不回头，一去不回头"]
    value = Distinct(2).score(texts).value
    assert Distinct(2).score(texts * 7).value == pytest.approx(value)


def test_names_and_settings():
    distinct, repetition = Distinct(3).score(["a"]), Repetition().score(["a"])
    assert (distinct.name, distinct.label) == ("distinct3", "Distinct-3")
    assert (repetition.name, repetition.label) == ("repetition4", "Repetition-4")
    assert (distinct.higher_is_better, repetition.higher_is_better) == (True, False)
    assert repetition.signature == "n:4|level:example|avg:mean|tok:unicode+marks"
    assert Distinct(name="d").name == "d"


@pytest.mark.parametrize("metric", [Distinct, Repetition])
def test_ngrams_of_no_length_are_refused(metric):
    with pytest.raises(ValueError, match="`n` must be positive. Received: n=0"):
        metric(0)
