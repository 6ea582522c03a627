import itertools
import re

import pytest

from tflm.tasks.demo_corpus import LANGUAGES, SIZES, demo_pairs, write_demo_corpus

PAIRS_OF_SPLITS = list(itertools.combinations(SIZES, 2))


def words(text):
    return re.findall(r"\w+", text.lower())


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_split_has_its_size_and_repeats_nothing(language):
    for split, size in SIZES.items():
        sources, targets = zip(*demo_pairs(split, language), strict=True)
        assert len(set(sources)) == len(set(targets)) == size


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("splits", PAIRS_OF_SPLITS, ids="-".join)
def test_no_sentence_is_in_two_splits_on_either_side(language, splits):
    for side in (0, 1):
        first, second = ({pair[side] for pair in demo_pairs(split, language)} for split in splits)
        assert not first & second


def test_the_split_of_a_sentence_does_not_depend_on_the_language():
    sources = {lang: {s for s, _ in demo_pairs("test", lang)} for lang in LANGUAGES}
    trained = {lang: {s for s, _ in demo_pairs("train", lang)} for lang in LANGUAGES}
    assert not sources["de"] & trained["zh"]
    assert not sources["zh"] & trained["de"]


def test_the_test_set_is_made_of_known_words_in_unknown_sentences():
    known = {word for pair in demo_pairs("train") for word in words(" ".join(pair))}
    tested = {word for pair in demo_pairs("test") for word in words(" ".join(pair))}
    assert len(known) > 850
    assert len(tested - known) < 0.02 * len(tested)


@pytest.mark.parametrize("language", LANGUAGES)
def test_sentences_are_written_as_text_is(language):
    last = {"de": ".?", "zh": "。？"}[language]
    for source, target in demo_pairs("train", language):
        assert source[0].isupper() and source[-1] in ".?" and len(source.split()) <= 22
        assert target[-1] in last
        for text in (source, target):
            assert not re.search(r"  |,,| ,|,[.?]| [.?]|^\s|\s$", text), text
        assert language == "de" or not re.search(r"\s|[a-zA-Z]", target), target


def test_the_corpus_is_the_same_on_every_machine():
    # Golden: a change here means that every figure measured on the corpus is of another corpus.
    assert demo_pairs("train")[0] == (
        "These women will thank this cook.",
        "Diese Frauen werden diesem Koch danken.",
    )
    assert demo_pairs("test", "zh")[-1] == (
        "This singer says that the bear will not watch the cat.",
        "这位歌手说那只熊不会观察那只猫。",
    )


def test_a_caller_cannot_change_the_corpus():
    demo_pairs("valid").clear()
    assert len(demo_pairs("valid")) == SIZES["valid"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_files_hold_a_pair_a_line(language, tmp_path):
    write_demo_corpus(tmp_path / "corpus", language)
    for split in SIZES:
        lines = (tmp_path / "corpus" / f"{split}.tsv").read_text(encoding="utf-8").splitlines()
        assert [tuple(line.split("\t")) for line in lines] == demo_pairs(split, language)


def test_unknown_split_is_refused():
    with pytest.raises(ValueError, match="`split` must be one of train, valid, test.*split=dev"):
        demo_pairs("dev")


def test_unknown_language_is_refused():
    with pytest.raises(ValueError, match="`language` must be one of de, zh.*language=fr"):
        demo_pairs("train", "fr")
