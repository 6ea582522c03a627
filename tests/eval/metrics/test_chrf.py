import pytest
import sacrebleu

from tflm.eval.metrics.chrf import CHRF


@pytest.mark.parametrize(
    "word_order, label, name", [(0, "chrF2", "chrf"), (2, "chrF2++", "chrf++")]
)
def test_word_order_makes_chrf_plus_plus(word_order, label, name):
    hypotheses, references = ["der Hund läuft"], ["ein Hund lief"]
    score = CHRF(word_order=word_order).score(hypotheses, references)
    expected = sacrebleu.corpus_chrf(hypotheses, [references], word_order=word_order).score
    assert (score.label, score.name, score.value) == (label, name, expected)
    assert f"nw:{word_order}" in score.signature


def test_case_counts_unless_told():
    assert CHRF().score(["HUND"], ["hund"]).value == 0
    ignoring = CHRF(lowercase=True)
    assert ignoring.score(["HUND"], ["hund"]).value == pytest.approx(100)
    assert ignoring.name == "chrf_lc"


def test_a_name_of_ones_own_is_kept():
    assert CHRF(name="characters").score(["a"], ["a"]).name == "characters"


def test_a_negative_word_order_is_refused():
    with pytest.raises(ValueError, match="`word_order` must be 0 or more. Received: word_order=-1"):
        CHRF(word_order=-1)
