import re

import pytest

from tflm.tasks import demo_lexicon as lexicon

ALL_VERBS = [*lexicon.VERBS, *lexicon.GIVING, lexicon.GOING, *lexicon.THINKING]
NAMES = {noun.english[0] for noun in lexicon.NOUNS}


def verb(base):
    return next(v for v in ALL_VERBS if v.english[0] == base)


def noun(singular):
    return next(n for n in lexicon.NOUNS if n.english[0] == singular)


def test_there_are_well_over_a_hundred_words():
    words = [*NAMES, *lexicon.PLACES, *lexicon.ADJECTIVES, *ALL_VERBS, *lexicon.TIMES]
    assert len(words) > 150


def test_german_nouns_have_a_gender_and_a_capital():
    for entry in lexicon.NOUNS:
        assert entry.gender in "mfn"
        assert all(form[0].isupper() for form in entry.german)


def test_a_weak_noun_has_another_form_outside_the_nominative():
    assert noun("boy").german == ("Junge", "Jungen", "Jungen")
    assert noun("dog").german == ("Hund", "Hund", "Hunde")


def test_every_noun_is_counted_with_one_chinese_measure_word():
    assert all(re.fullmatch(r"[\u4e00-\u9fff]", entry.measure) for entry in lexicon.NOUNS)


@pytest.mark.parametrize("entry", ALL_VERBS, ids=lambda v: v.english[0])
def test_a_verb_has_the_forms_of_its_tenses(entry):
    _, past, continuous = entry.english
    _, infinitive, third, participle = entry.german
    assert infinitive.endswith("n") and third and entry.chinese
    assert continuous or "c" not in entry.tenses
    assert bool(past) == bool(participle) == ("p" in entry.tenses)


@pytest.mark.parametrize("entry", ALL_VERBS, ids=lambda v: v.english[0])
def test_a_verb_goes_with_nouns_that_exist(entry):
    known = NAMES | set(lexicon.NOUN_CLASSES)
    assert entry.subjects and entry.subjects | entry.objects <= known


def test_a_bar_divides_the_separable_prefix():
    assert verb("open").german[:2] == ("auf", "machen")
    assert verb("sleep").german[:2] == ("", "schlafen")


def test_a_plus_divides_the_particle():
    assert (verb("look").english[2], verb("look").particle) == ("looking", "for")


def test_an_adjective_may_have_another_german_stem():
    forms = {entry.english[0]: entry.german for entry in lexicon.ADJECTIVES}
    assert forms["expensive"][:2] == ("teuer", "teur")
    assert forms["tired"][:2] == ("müde", "müd")


def test_every_class_of_noun_has_adjectives_with_and_without_a_comparative():
    for kind in lexicon.NOUN_CLASSES:
        entries = [entry for entry in lexicon.ADJECTIVES if kind in entry.kinds]
        assert len(entries) >= 3
        assert any(entry.chinese[0] for entry in entries)
