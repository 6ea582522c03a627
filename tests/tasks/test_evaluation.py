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
    evaluate_model,
    evaluated_as,
    open_examples,
    score_for_export,
    scoring_settings,
)
from tflm.tasks.input_rows import PAIR, QUESTION, TEXT
from tflm.tasks.predictor import Predictor
from tflm.tasks.scored_data import ScoredData
from tflm.tokenizers import SentencePieceTokenizer


def shout(texts):
    """Answers a text in capitals; one of more than five characters was cut."""
    return [{"text": text.upper(), "truncated": len(text) > 5} for text in texts]


@pytest.fixture
def few_resamples(monkeypatch):
    """Scikit-learn takes a millisecond a resample."""
    monkeypatch.setattr(evaluation, "evaluate", functools.partial(evaluate, num_resamples=5))


@pytest.fixture
def serve(monkeypatch):
    """A function after which whatever location holds a model that answers so."""

    def serve(answers, fields=TEXT):
        monkeypatch.setattr(evaluation, "open_predictor", lambda _: Predictor(answers, fields))

    return serve


PAIRS = (["ein hund", "zwei katzen schlafen", "北京"], ["EIN HUND", "ZWEI KATZEN", "北京"])
TRANSLATION = {"task": "translation", "languages": "en-zh"}
SHOUTED = ScoredData("translation", *PAIRS, language="zh")


def test_options_must_suit_the_task_and_say_what_the_model_does_not(tmp_path):
    saved = {"task": "QuestionAnswering", "settings": {"unanswerable": True}}
    (tmp_path / "task.json").write_text(json.dumps(saved))
    given = {"target_language": "zh", "swap": False, "labels": ""}
    assert scoring_settings(tmp_path, given) == {
        "task": "question_answering",
        "target_language": "zh",
        "unanswerable": True,
    }
    for given, task, message in (
        ({"swap": True}, "", "`swap` must be left out for the task question_answ.*swap=True"),
        ({"labels": "a,b"}, "causal_lm", "`labels` must be left out for the task causal_lm"),
        ({}, "translation", "`languages` must be given for a model that does not say its own"),
        ({}, "masked_lm", "`task` must be one of causal_lm, .*Received: task='masked_lm'"),
    ):
        with pytest.raises(ValueError, match=message):
            scoring_settings(tmp_path, given, task)


def test_pairs_are_read_and_swapped(tmp_path, serve):
    (tmp_path / "test.tsv").write_text("one\teins\ntwo\tzwei\n")
    serve(shout)
    for data, split in ((tmp_path, "test"), (tmp_path / "test.tsv", "")):
        rows = open_examples(data, split, TRANSLATION)
        assert list(rows) == [("one", "eins"), ("two", "zwei")]
    report, _ = evaluate_model("m", rows, {**TRANSLATION, "swap": True}, metrics=["chrf"])
    assert (report.sources, report.hypotheses) == (("eins", "zwei"), ("EINS", "ZWEI"))
    (tmp_path / "empty.tsv").touch()
    with pytest.raises(ValueError, match="`data` must hold at least one example. .*empty.tsv"):
        open_examples(tmp_path / "empty.tsv", "", TRANSLATION)
    with pytest.raises(FileNotFoundError, match="`data` must be a file or directory that exists"):
        open_examples(tmp_path / "gone.tsv", "", TRANSLATION)


def test_a_model_is_scored_with_the_metrics_and_baselines_of_its_task(serve):
    serve(shout)
    report, metrics = evaluate_model("runs/m/", PAIRS, TRANSLATION, baseline=True, data="three")
    assert [metric.name for metric in metrics] == ["bleu", "chrf", "ter", "bleu_lc"]
    assert report.task == "translation en-zh"
    assert report.settings == {"model": "m"}
    assert "tok:zh" in report["bleu"].signature
    assert report.hypotheses[1] == "ZWEI KATZEN SCHLAFEN"
    assert report.baselines[0].name == "copy_source"
    report, _ = evaluate_model("m", PAIRS, TRANSLATION, metrics=["truncated", "rouge1"])
    assert [score.name for score in report.scores] == ["truncated", "rouge1"]
    assert report["truncated"].value == pytest.approx(2 / 3)


def test_a_model_may_answer_with_labels_that_the_data_does_not_have(serve, few_resamples):
    labels = iter(["正面", "负面", "中性"])
    serve(lambda texts: [{"label": next(labels)} for _ in texts])
    examples = (["一", "二二", "三三三"], ["正面", "负面", "负面"])
    report, metrics = evaluate_model("m", examples, {"task": "classification"})
    assert report["accuracy"].value == pytest.approx(2 / 3)
    assert set(metrics[0].labels) == {"正面", "负面", "中性"}


def test_a_classifier_s_probabilities_are_scored_and_labels_may_be_numbers(serve, few_resamples):
    rows = {"一": [0.9, 0.1], "二二": [0.4, 0.6], "三三三": [0.2, 0.8]}

    def predict(texts):
        return [
            {"label": ["负面", "正面"][rows[text][1] > 0.5], "probabilities": rows[text]}
            for text in texts
        ]

    serve(predict)
    names = ["accuracy", "auroc", "brier", "ece"]
    settings = {"task": "sentiment_analysis", "labels": ["负面", "正面"]}
    for references in (["负面", "负面", "正面"], ["0", "0", "1"], [0, 0, 1]):
        examples = (list(rows), references)
        report, _ = evaluate_model("m", examples, settings, metrics=names, baseline=True)
        assert report["auroc"].value == 1 and report.baselines[0]["auroc"].value == 0.5
        assert report["brier"].value == pytest.approx((0.01 + 0.36 + 0.04) / 3)
    data = ScoredData(
        "classification", list(rows), ["负面", "负面", "正面"], labels=("负面", "正面")
    )
    assert score_for_export(predict, data, ["auroc>=1"])["auroc"].value == 1
    with pytest.raises(ValueError, match=r"among the labels 负面, 正面. .*references\[2\]='好'"):
        evaluate_model("m", (list(rows), ["负面", "负面", "好"]), settings)


def test_pairs_of_texts_and_several_labels_are_scored(serve, few_resamples):
    found = iter([["体育", "政治"], [""], ["科技"]])
    serve(lambda rows: [{"label": "", "labels": next(found)} for _ in rows], PAIR)
    settings = {"task": "sentiment_analysis", "pairs": True, "labels": ["体育", "政治", "科技"]}
    settings["multi_label"] = True
    examples = [("一", "a", 0, "政治"), ("二二", "b"), ("三三三", "c", "科技", "体育")]
    report, _ = evaluate_model("m", examples, settings)
    assert [score.name for score in report.scores] == ["accuracy", "f1_macro"]
    assert report["accuracy"].value == pytest.approx(2 / 3)
    assert report.sources[0] == "一\na"
    with pytest.raises(ValueError, match="`baseline` must be left out where a text has several"):
        evaluate_model("m", examples, settings, baseline=True)


QUESTIONS = [
    {
        "question": "谁跑了？",
        "context": "安娜跑了。",
        "answers": {"text": ["安娜"], "answer_start": [0]},
    },
    {
        "question": "谁？",
        "context": "李明走了。",
        "answers": {"text": ["李明"], "answer_start": [0]},
    },
]


def first_two(pairs):
    """Answers with the first two characters of any context."""
    return [{"answer": context[:2], "no_answer_probability": 0.2} for _, context in pairs]


def test_questions_are_scored_in_their_language_and_with_those_that_have_no_answer(serve):
    serve(first_two, QUESTION)
    settings = {"task": "question_answering", "language": "zh"}
    report, _ = evaluate_model("m", QUESTIONS, settings, baseline=True)
    assert "cmrc:2018" in report["f1"].signature and report["exact_match"].value == 100
    assert report.task == "question_answering zh"
    assert report.baselines[0]["exact_match"].value == 0
    nobody = {"question": "为什么？", "context": "没有人。", "answers": []}
    report, _ = evaluate_model("m", [*QUESTIONS, nobody], {"task": "question_answering"})
    assert report["exact_match_squad2"].components["no_answer"] == 0
    with pytest.raises(ValueError, match="`target_language` must be given, 'de' or 'zh' say"):
        evaluate_model("m", QUESTIONS, {"task": "question_answering"})


def test_a_model_of_other_fields_is_refused(serve):
    serve(shout)
    settings = {"task": "question_answering", "language": "zh"}
    with pytest.raises(ValueError, match="must take question and context .* m, which takes text"):
        evaluate_model("m", QUESTIONS, settings)


def test_metrics_that_read_no_text_are_refused_before_the_work(monkeypatch):
    monkeypatch.setattr(evaluation, "open_predictor", None)
    with pytest.raises(ValueError, match="must be one that reads texts: .*metric='perplexity'"):
        evaluate_model("m", PAIRS, TRANSLATION, metrics=["perplexity"])
    with pytest.raises(ValueError, match="must be one that reads texts: .*metric='bits_per_byte'"):
        score_for_export(None, SHOUTED, ["bits_per_byte<=2"])
    with pytest.raises(ValueError, match="`require` must name one of bleu, .* 'rouge>=0.3'"):
        score_for_export(None, SHOUTED, ["rouge>=0.3"])  # a group is no score


def test_what_is_required_is_computed_and_must_be_met():
    report = score_for_export(shout, SHOUTED, ["chrf>=10", "rouge1>0.5"], data="three")
    assert {"bleu", "chrf", "ter", "rouge1"} <= {score.name for score in report.scores}
    assert (report.data, report.target_language) == ("three", "zh")
    with pytest.raises(RequirementsNotMet, match="ter<=1  NOT MET: TER"):
        score_for_export(shout, SHOUTED, ["chrf>=10", "ter<=1"])
    with pytest.raises(ValueError, match="`metric` must be one of .*metric='meteor'"):
        score_for_export(shout, SHOUTED, ["meteor>=10"])
    with pytest.raises(ValueError, match="`target_language` must be given"):
        score_for_export(shout, ScoredData("translation", *PAIRS))
    with pytest.raises(ValueError, match="`require` must be a metric, one of"):
        score_for_export(shout, SHOUTED, ["bleu"])


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
        str(tmp_path / "saved"),
        (sources, references),
        {"task": "translation", "languages": "en-de"},
        metrics=["bleu", "chrf"],
    )
    assert report.hypotheses == tuple(scores.hypotheses)
    assert history["val_bleu"][-1] == report["bleu"].value
    assert history["val_chrf"][-1] == report["chrf"].value > 0
    assert len(set(history["val_chrf"])) > 1  # the weights of each epoch were read
    (decode,) = task._functions.values()
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
    """A task that answers with the first two characters of any context."""

    model = types.SimpleNamespace()
    answers = staticmethod(first_two)

    def description(self):
        return {}

    input_limits = description


def scores_on(card):
    scores = json.loads(card["model_card.json"])["evaluation"]["scores"]
    return {score["name"]: score for score in scores}


def test_questions_are_scored_by_the_metrics_of_their_data(tmp_path):
    card = card_for_export(QuestionAnswering(), QUESTIONS, "zh", ["f1>=100"], data="two")
    assert {name: score["value"] for name, score in scores_on(card).items()} == {
        "exact_match": 100,
        "f1": 100,
    }
    rows = [{"text": "安娜", "answer_start": 0}]
    paragraph = {"context": "安娜跑了。", "qas": [{"question": "谁？", "answers": rows}]}
    paragraph["qas"].append({"question": "为什么？", "answers": [], "is_impossible": True})
    (tmp_path / "dev.json").write_text(json.dumps({"data": [{"paragraphs": [paragraph]}]}))
    card = card_for_export(
        QuestionAnswering(), tmp_path / "dev.json", "", ["exact_match_squad2>=50"]
    )
    scores = scores_on(card)
    assert list(scores) == ["exact_match_squad2", "f1_squad2"]
    assert scores["exact_match_squad2"]["components"]["no_answer"] == 0
    pairs = [(row["question"], row["context"]) for row in QUESTIONS]
    card = card_for_export(QuestionAnswering(), (pairs, ["安娜", "李四"]), "zh")
    assert scores_on(card)["exact_match"]["value"] == 50


class SentimentAnalysis:
    """A task that finds every text good."""

    model = types.SimpleNamespace()
    answers = staticmethod(
        lambda texts: [{"label": "好", "probabilities": [0.4, 0.6]} for _ in texts]
    )

    def description(self):
        return {"labels": ["差", "好"], "pairs": False, "multi_label": False}

    def input_limits(self):
        return {}


def test_a_table_s_labels_are_those_of_the_task(tmp_path, few_resamples):
    (tmp_path / "dev.csv").write_text("label,text\n1,很好\n1,不错\n1,还行\n")  # one label alone
    card = card_for_export(SentimentAnalysis(), tmp_path / "dev.csv", "", ["brier<=0.2"])
    scores = scores_on(card)
    assert scores["accuracy"]["value"] == 1
    assert scores["brier"]["value"] == pytest.approx(0.16)
    card = card_for_export(SentimentAnalysis(), (["很好", "不好"], ["好", 0]))
    assert scores_on(card)["accuracy"]["value"] == 0.5


def test_a_task_is_evaluated_as_its_class_or_a_parent_is_called():
    class Translation: ...

    class MyTranslation(Translation): ...

    class SentimentAnalysis: ...

    class MaskedLM: ...

    assert evaluated_as(MyTranslation()) == "translation"
    assert evaluated_as(SentimentAnalysis()) == "sentiment_analysis"
    with pytest.raises(ValueError, match="`evaluate_on` must be left out .*Received: a MaskedLM"):
        evaluated_as(MaskedLM())


def test_an_exported_task_carries_its_card(trained_task, toy_pairs, tmp_path, monkeypatch):
    pairs = tuple(zip(*toy_pairs[:9], strict=True))
    written = {}

    def save(module, signatures, directory, version, extra, *_):
        written.update(extra)

    monkeypatch.setattr("tflm.tasks.base.save", save)  # which has tests of its own
    trained_task.export(
        tmp_path,
        evaluate_on=pairs,
        target_language="de",
        require=["bleu>=0", "ter<=1000"],
        data="nine toys",
        training={"seed": 3},
    )
    card = json.loads(written["model_card.json"])
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


def test_examples_are_opened_in_a_hugging_face_data_set(tmp_path):
    datasets = pytest.importorskip("datasets", reason="no datasets here")
    rows = datasets.Dataset.from_dict({"source": ["北京"], "target": ["Beijing"]})
    datasets.DatasetDict(test=rows).save_to_disk(tmp_path / "saved")
    found = open_examples(tmp_path / "saved", "test", TRANSLATION)
    assert list(found) == [("北京", "Beijing")]
    with pytest.raises(
        FileNotFoundError, match="`data` must have a split valid. Received: .*saved"
    ):
        open_examples(tmp_path / "saved", "valid", TRANSLATION)


def test_an_iterator_is_refused_for_it_may_be_of_rows_or_of_two_sides(trained_task, tmp_path):
    with pytest.raises(ValueError, match="`evaluate_on` must be a list of rows, or .*: .*, zip"):
        trained_task.export(tmp_path / "new", evaluate_on=zip("ab", "xy", strict=True))
    assert not list(tmp_path.iterdir())


def test_a_directory_is_evaluated_on_its_test_split(trained_task, tmp_path):
    (tmp_path / "test.tsv").write_text("one\ttwo\n北京\t公园\n", encoding="utf-8")
    (tmp_path / "train.tsv").write_text("a\tb\n", encoding="utf-8")
    files = card_for_export(trained_task, tmp_path, "de")
    card = json.loads(files["model_card.json"])
    assert card["evaluation"]["num_examples"] == 2
    (tmp_path / "test.tsv").unlink()
    with pytest.raises(FileNotFoundError, match="test"):
        card_for_export(trained_task, tmp_path, "de")
