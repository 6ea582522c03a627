import pytest
import sacrebleu

from tflm.eval.metrics.ter import TER


def test_ter_is_edits_per_reference_word():
    score = TER("de").score(["ein Hund läuft heute"], ["ein Hund rennt heute schnell"])
    assert score.value == pytest.approx(100 * 2 / 5)
    assert score.components == {"num_edits": 2.0, "reference_length": 5.0}
    assert not score.higher_is_better


def test_a_moved_phrase_is_one_edit():
    assert (
        TER("en")
        .score(["in the park a dog runs"], ["a dog runs in the park"])
        .components["num_edits"]
        == 1
    )


@pytest.mark.parametrize("language", ["zh", "zh-TW", "ja"])
def test_text_without_spaces_is_split_into_characters(language):
    hypotheses, references = ["他们任命她为经理。"], ["他们任命他为经理。"]
    score = TER(language).score(hypotheses, references)
    expected = sacrebleu.corpus_ter(hypotheses, [references], normalized=True, asian_support=True)
    assert score.value == expected.score == pytest.approx(100 / 9)
    assert "norm:yes" in score.signature and "asian:yes" in score.signature


def test_the_options_win_over_the_language():
    plain = TER("zh", normalized=False, asian_support=False).score(["他们任命她"], ["他们任命他"])
    assert plain.value == 100
    assert "norm:no" in plain.signature and "asian:no" in plain.signature


def test_case_and_punctuation_are_options():
    assert TER("de", case_sensitive=True).score(["der hund"], ["der Hund"]).value == 50
    assert TER("de").score(["der hund"], ["der Hund"]).value == 0
    assert TER("de", no_punct=True).score(["der Hund"], ["der Hund ."]).value == 0


def test_a_name_of_ones_own_is_kept():
    assert (TER("de").name, TER("de", name="edits").name) == ("ter", "edits")
