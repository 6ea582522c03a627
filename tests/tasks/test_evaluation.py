import functools
import json
import types

import keras
import pytest

from tflm.eval import BLEU, CHRF, GenerateAndScore, evaluate
from tflm.eval.requirements import RequirementsNotMet
from tflm.generation import Greedy, Limits
from tflm.models.gpt2 import GPT2, Config
from tflm.tasks import CausalLM, evaluation
from tflm.tasks.evaluation import (
    card_for_export,
    default_metrics,
    evaluate_model,
    evaluated_as,
    read_pairs,
    score_for_export,
)
from tflm.tokenizers import SentencePieceTokenizer


def shout(texts):
    """Answers a text in capitals; one of more than five characters was cut."""
    return [{"text": text.upper(), "truncated": len(text) > 5} for text in texts]


@pytest.fixture
def few_resamples(monkeypatch):
    """Scikit-learn takes a millisecond a resample."""
    monkeypatch.setattr(evaluation, "evaluate", functools.partial(evaluate, num_resamples=5))


PAIRS = (["ein hund", "zwei katzen schlafen", "北京"], ["EIN HUND", "ZWEI KATZEN", "北京"])


def test_pairs_are_read_and_swapped(tmp_path):
    (tmp_path / "test.tsv").write_text("one\teins\ntwo\tzwei\n")
    assert read_pairs(tmp_path, "test", ("en", "de")) == (["one", "two"], ["eins", "zwei"])
    swapped = read_pairs(tmp_path / "test.tsv", "", ("", ""), swap=True)
    assert swapped == (["eins", "zwei"], ["one", "two"])
    (tmp_path / "empty.tsv").touch()
    with pytest.raises(ValueError, match="`data` must hold at least one pair. Received: .*empty"):
        read_pairs(tmp_path / "empty.tsv", "", ("", ""))


def test_a_model_is_scored_with_the_metrics_and_baselines_of_its_task(monkeypatch):
    monkeypatch.setattr(evaluation, "open_predictor", lambda location: shout)
    monkeypatch.setattr(evaluation, "labels_in_order", lambda location: ())
    report, metrics = evaluate_model("runs/m/", *PAIRS, ("en", "zh"), baseline=True, data="three")
    assert tuple(metric.name for metric in metrics) == default_metrics("translation")
    assert report.task == "translation en-zh"
    assert report.settings == {"model": "m"}
    assert "tok:zh" in report["bleu"].signature
    assert report.hypotheses[1] == "ZWEI KATZEN SCHLAFEN"
    assert report.baselines[0].name == "copy_source"
    report, _ = evaluate_model("m", *PAIRS, ("en", "zh"), metrics=["truncated", "rouge1"])
    assert [score.name for score in report.scores] == ["truncated", "rouge1"]
    assert report["truncated"].value == pytest.approx(2 / 3)


def test_a_model_may_answer_with_labels_that_the_data_does_not_have(monkeypatch, few_resamples):
    labels = iter(["正面", "负面", "中性"])

    def predict(texts):
        return [{"label": next(labels)} for _ in texts]

    monkeypatch.setattr(evaluation, "open_predictor", lambda location: predict)
    monkeypatch.setattr(evaluation, "labels_in_order", lambda location: ())
    report, metrics = evaluate_model(
        "m", ["一", "二二", "三三三"], ["正面", "负面", "负面"], ("zh", "zh"), task="classification"
    )
    assert report["accuracy"].value == pytest.approx(2 / 3)
    assert set(metrics[0].labels) == {"正面", "负面", "中性"}


def test_a_classifier_s_probabilities_are_scored(monkeypatch, few_resamples):
    rows = {"一": [0.9, 0.1], "二二": [0.4, 0.6], "三三三": [0.2, 0.8]}

    def predict(texts):
        return [
            {"label": ["负面", "正面"][rows[text][1] > 0.5], "probabilities": rows[text]}
            for text in texts
        ]

    references = ["负面", "负面", "正面"]
    monkeypatch.setattr(evaluation, "open_predictor", lambda location: predict)
    monkeypatch.setattr(evaluation, "labels_in_order", lambda location: ("负面", "正面"))
    names = ["accuracy", "auroc", "brier", "ece"]
    options = {"task": "classification", "metrics": names, "baseline": True}
    report, _ = evaluate_model("m", list(rows), references, ("zh", "zh"), **options)
    assert report["auroc"].value == 1 and report.baselines[0]["auroc"].value == 0.5
    assert report["brier"].value == pytest.approx((0.01 + 0.36 + 0.04) / 3)
    labels = ("负面", "正面")
    pairs = (list(rows), references)
    again = score_for_export(predict, pairs, "", ["auroc>=1"], task="classification", labels=labels)
    assert again["auroc"].value == 1


def test_metrics_that_read_no_text_are_refused_before_the_work(monkeypatch):
    monkeypatch.setattr(evaluation, "open_predictor", None)
    with pytest.raises(ValueError, match="must be one that reads texts: .*metric='perplexity'"):
        evaluate_model("m", *PAIRS, ("en", "zh"), metrics=["perplexity"])
    with pytest.raises(ValueError, match="must be one that reads texts: .*metric='bits_per_byte'"):
        score_for_export(None, PAIRS, "zh", ["bits_per_byte<=2"])
    with pytest.raises(ValueError, match="`require` must name one of bleu, .* 'rouge>=0.3'"):
        score_for_export(None, PAIRS, "zh", ["rouge>=0.3"])  # a group is no score


def test_what_is_required_is_computed_and_must_be_met(tmp_path):
    report = score_for_export(shout, PAIRS, "zh", ["chrf>=10", "rouge1>0.5"], data="three")
    assert {"bleu", "chrf", "ter", "rouge1"} <= {score.name for score in report.scores}
    assert (report.data, report.target_language) == ("three", "zh")
    with pytest.raises(RequirementsNotMet, match="ter<=1  NOT MET: TER"):
        score_for_export(shout, PAIRS, "zh", ["chrf>=10", "ter<=1"])
    path = tmp_path / "pairs.tsv"
    path.write_text("ein hund\tEIN HUND\n")
    assert score_for_export(shout, path, "de").data == "pairs.tsv"
    with pytest.raises(ValueError, match="`metric` must be one of .*metric='meteor'"):
        score_for_export(shout, PAIRS, "zh", ["meteor>=10"])
    with pytest.raises(ValueError, match="`target_language` must be given"):
        score_for_export(shout, PAIRS, "")
    with pytest.raises(ValueError, match="`require` must be a metric, one of"):
        score_for_export(shout, PAIRS, "zh", ["bleu"])


def test_requirements_need_data():
    with pytest.raises(ValueError, match="`evaluate_on` must be given with `require`.*bleu>=3 and"):
        card_for_export(None, require=["bleu>=3"])


@pytest.mark.slow
def test_the_callback_s_scores_are_those_of_the_evaluation_and_it_compiles_once(
    make_task, toy_pairs, tmp_path
):
    layers = {"num_encoder_layers": 1, "num_decoder_layers": 1}
    task = make_task(config=layers, strategy=Greedy(), limits=Limits(max_length=9))
    task.compile(keras.optimizers.Adam(3e-3))
    sources, references = (list(side) for side in zip(*toy_pairs[:15], strict=True))
    scores = GenerateAndScore(task, sources, references, [BLEU("de"), CHRF()], num_shown=0)
    options = {"tokens_per_batch": 256, "max_length": 64}
    history = task.fit(
        toy_pairs[:120], epochs=4, data_options=options, callbacks=[scores], verbose=0
    ).history
    task.save_pretrained(tmp_path / "saved")
    report, _ = evaluate_model(
        str(tmp_path / "saved"), sources, references, ("en", "de"), metrics=["bleu", "chrf"]
    )
    assert report.hypotheses == tuple(scores.hypotheses)
    assert history["val_bleu"][-1] == report["bleu"].value
    assert history["val_chrf"][-1] == report["chrf"].value > 0
    assert len(set(history["val_chrf"])) > 1  # the weights of each epoch were read
    (decode,) = task._translators.values()
    assert decode.experimental_get_tracing_count() == 1


@pytest.fixture(scope="module")
def language_model():
    keras.utils.set_random_seed(6)
    texts = ["the cat sat on the mat.", "公园很大。我喝茶。"]
    tokenizer = SentencePieceTokenizer.train(texts * 3, 290)
    sizes = {"hidden_dim": 12, "ffn_dim": 20, "num_heads": 3, "num_layers": 1, "max_length": 24}
    model = GPT2(Config(tokenizer.vocab_size, **sizes))
    return CausalLM(model, tokenizer, strategy=Greedy(), limits=Limits(max_length=7))


def test_a_language_model_is_scored_on_texts_before_its_export(language_model, tmp_path):
    texts = ["the cat", "我喝茶。", "公园很大。"]
    card = card_for_export(
        language_model, texts, require=["perplexity<=1e9", "word_perplexity>0"], data="three"
    )
    evaluation_card = json.loads(card["model_card.json"])["evaluation"]
    assert (evaluation_card["data"], evaluation_card["num_examples"]) == ("three", 3)
    scores = {score["name"]: score["value"] for score in evaluation_card["scores"]}
    assert list(scores) == [
        *("perplexity", "bits_per_character", "bits_per_byte", "word_perplexity"),
    ]
    (tmp_path / "held_out.txt").write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    again = json.loads(
        card_for_export(language_model, tmp_path / "held_out.txt")["model_card.json"]
    )["evaluation"]
    assert again["data"] == "held_out.txt"
    assert again["scores"][0]["value"] == pytest.approx(scores["perplexity"])


def test_a_language_model_that_falls_short_is_not_exported(language_model, tmp_path):
    with pytest.raises(RequirementsNotMet, match="perplexity<=1.5  NOT MET: Perplexity"):
        language_model.export(
            tmp_path / "new", evaluate_on=["the cat", "公园"], require=["perplexity<=1.5"]
        )
    assert not list(tmp_path.iterdir())


def test_a_language_model_is_not_scored_on_pairs(language_model):
    with pytest.raises(TypeError, match="`evaluate_on` must be texts, or a file of them.*Received"):
        card_for_export(language_model, (["a", "b"], ["c", "d"]))
    with pytest.raises(ValueError, match="must be one that reads likelihoods: .*metric='bleu'"):
        card_for_export(language_model, ["a"], require=["bleu>=3"])


class QuestionAnswering:
    """A task that finds the first word of any context, and reads rows as the real one does."""

    model = types.SimpleNamespace()

    def examples(self, given):
        class Rows(list):
            examples = [types.SimpleNamespace(texts=texts) for _, _, texts in given]

        return Rows((question, context) for question, context, _ in given)

    def answers(self, pairs):
        return [
            {"answer": context.split()[0], "no_answer_probability": 0.2, "truncated": False}
            for _, context in pairs
        ]

    def description(self):
        return {}

    input_limits = description


def test_questions_are_scored_by_the_metrics_of_their_data():
    rows = [("who?", "Ann ran", ("Ann", "Anna")), ("谁？", "安 跑了", ("安",))]
    card = card_for_export(QuestionAnswering(), rows, "en", ["f1>=100"], data="two")
    scores = json.loads(card["model_card.json"])["evaluation"]["scores"]
    assert [(score["name"], score["value"]) for score in scores] == [
        ("exact_match", 100),
        ("f1", 100),
    ]
    rows.append(("why?", "nothing here", ()))
    card = card_for_export(QuestionAnswering(), rows, "en", ["exact_match_squad2>=60"])
    scores = json.loads(card["model_card.json"])["evaluation"]["scores"]
    assert [score["name"] for score in scores] == ["exact_match_squad2", "f1_squad2"]
    assert scores[0]["components"]["no_answer"] == 0


def test_a_task_is_evaluated_as_its_class_or_a_parent_is_called():
    class Translation: ...

    class MyTranslation(Translation): ...

    class SentimentAnalysis: ...

    class MaskedLM: ...

    assert evaluated_as(MyTranslation()) == "translation"
    assert evaluated_as(SentimentAnalysis()) == "sentiment_analysis"
    with pytest.raises(ValueError, match="`evaluate_on` must be left out .*Received: a MaskedLM"):
        evaluated_as(MaskedLM())


def test_an_exported_task_carries_its_card(trained_task, toy_pairs, tmp_path):
    pairs = tuple(zip(*toy_pairs[:9], strict=True))
    path = trained_task.export(
        tmp_path,
        evaluate_on=pairs,
        target_language="de",
        require=["bleu>=0", "ter<=1000"],
        data="nine toys",
        training={"seed": 3},
    )
    card = json.loads((path / "assets.extra" / "model_card.json").read_text(encoding="utf-8"))
    assert card["task"] == "Translation"
    assert card["model"]["architecture"] == "transformer"
    assert card["model"]["parameters"] == trained_task.model.count_params()
    assert card["model"]["strategy"]["num_beams"] == 3
    assert card["limits"]["max_source_length"] == 20
    assert card["limits"]["max_length"] == 40
    assert card["training"] == {"seed": 3}
    assert card["evaluation"]["data"] == "nine toys"
    assert card["evaluation"]["num_examples"] == 9
    assert card["evaluation"]["required"] == ["bleu>=0", "ter<=1000"]
    bleu = card["evaluation"]["scores"][0]
    assert bleu["signature"].startswith("nrefs:1|case:mixed")
    assert bleu["interval"]["level"] == 0.95
    assert {"tflm", "tensorflow", "keras", "sacrebleu"} <= set(card["versions"])


def test_a_task_that_falls_short_leaves_nothing_behind(trained_task, toy_pairs, tmp_path):
    pairs = tuple(zip(*toy_pairs[:5], strict=True))
    with pytest.raises(RequirementsNotMet, match="bleu>=101  NOT MET: BLEU"):
        trained_task.export(
            tmp_path / "new", evaluate_on=pairs, target_language="de", require=["bleu>=101"]
        )
    assert not list(tmp_path.iterdir())


def test_a_version_that_exists_is_refused_before_the_work(trained_task, tmp_path):
    (tmp_path / "1").mkdir()
    with pytest.raises(FileExistsError, match="`version` must not exist yet"):
        trained_task.export(tmp_path, 1, evaluate_on="nothing.tsv", target_language="de")
