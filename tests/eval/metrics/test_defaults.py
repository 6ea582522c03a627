import pytest

from tflm.eval.metrics.defaults import metrics_for


@pytest.mark.parametrize("language, tokenizer, asian", [("de", "13a", "no"), ("zh", "zh", "yes")])
def test_translation_is_judged_by_bleu_chrf_and_ter(language, tokenizer, asian):
    bleu, chrf, ter = (m.score(["a b"], ["a b"]) for m in metrics_for("translation", language))
    assert (bleu.name, chrf.name, ter.name) == ("bleu", "chrf", "ter")
    assert f"case:mixed|eff:no|tok:{tokenizer}" in bleu.signature
    assert f"asian:{asian}" in ter.signature


def test_an_unknown_task_lists_the_known_ones():
    with pytest.raises(
        ValueError, match="`task` must be one of .*, translation. Received: task='chess'"
    ):
        metrics_for("chess", "de")


@pytest.mark.parametrize("language, tokenizer", [("en", "rouge_score"), ("zh", "unicode")])
def test_summarization_is_judged_by_rouge_and_lengths(language, tokenizer):
    scores = [m.score(["a b"], ["a b"]) for m in metrics_for("summarization", language)]
    names = [score.name for score in scores]
    assert names == ["rouge1", "rouge2", "rougeL", "rougeLsum", "length_ratio", "empty"]
    assert all(f"tok:{tokenizer}" in score.signature for score in scores[:4])


def test_generated_text_is_judged_by_how_much_it_repeats_itself():
    names = [metric.name for metric in metrics_for("text_generation", "en")]
    assert names == ["distinct1", "distinct2", "repetition4", "empty"]
