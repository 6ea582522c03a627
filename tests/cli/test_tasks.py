"""The command on language models, on readers and on classifiers."""

import functools
import json

import numpy as np
import pytest

# language models


@pytest.fixture(scope="module")
def language_model(tmp_path_factory):
    """A language model with fresh weights, and a file of texts for it."""
    from tflm.models.gpt2 import GPT2, Config
    from tflm.tasks import CausalLM
    from tflm.tokenizers import SentencePieceTokenizer

    folder = tmp_path_factory.mktemp("language_model")
    texts = ["To be, or not to be.", "公园很大。"]
    (folder / "test.txt").write_text("\n\n".join(texts) + "\n")
    tokenizer = SentencePieceTokenizer.train(texts * 9, 290, "char")
    sizes = {"hidden_dim": 12, "ffn_dim": 20, "num_heads": 3, "num_layers": 1, "max_length": 32}
    CausalLM(GPT2(Config(tokenizer.vocab_size, **sizes)), tokenizer).save_pretrained(
        folder / "model"
    )
    return folder


def test_a_language_model_is_scored_on_plain_text(tflm, refused, language_model):
    arguments = ["evaluate", language_model / "model"]
    for data in (language_model, language_model / "test.txt"):
        done = tflm(*arguments, "--data", data, "--json")
        assert done.code == 0, done.err
        report = json.loads(done.out)
        names = [score["name"] for score in report["scores"]]
        assert names == ["perplexity", "bits_per_character", "bits_per_byte"]
        assert (report["task"], report["num_examples"]) == ("causal_lm", 2)
    error = refused(*arguments, "--data", language_model, "--languages", "en-de")
    assert "`languages` must be left out for the task causal_lm. Received: languages='en" in error
    error = refused(*arguments, "--data", language_model, "--baseline")
    assert "to have baselines. Received: task='causal_lm'" in error
    error = refused(*arguments, "--data", language_model, "--split", "valid")
    assert "`data` must hold valid.txt, valid.txt.gz or a folder valid" in error


def test_a_language_model_is_scored_before_it_is_exported(tflm, language_model, tmp_path):
    arguments = ["export", language_model / "model", tmp_path / "out", "--data", language_model]
    done = tflm(*arguments, "--require", "perplexity<=1.5")
    assert done.code == 3
    assert "perplexity<=1.5  NOT MET: Perplexity" in done.err
    assert not list(tmp_path.rglob("saved_model.pb"))


# models of two inputs


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """A run of question answering in Chinese with fresh weights, and questions for it."""
    from tflm.tasks import QuestionAnswering

    folder = tmp_path_factory.mktemp("reader")
    paragraphs = []
    for who, where in (("安娜", "北京"), ("李明", "上海")):
        answers = [{"text": where, "answer_start": 4}]
        qas = [{"id": who, "question": f"{who}住在哪里？", "answers": answers}]
        paragraphs.append({"context": f"{who}住在{where}。", "qas": qas})
    data = json.dumps({"data": [{"paragraphs": paragraphs}]}, ensure_ascii=False)
    (folder / "test.json").write_text(data, encoding="utf-8")
    sizes = {"hidden_dim": 12, "num_heads": 3, "num_layers": 1}
    task = QuestionAnswering.from_examples(
        folder / "test.json",
        "transformer_encoder/tiny",
        vocab_size=300,
        algorithm="char",
        changes=sizes,
        sequence_length=40,
    )
    task.save_pretrained(folder / "run" / "model")
    (folder / "run" / "run.json").write_text('{"task": "question_answering", "language": "zh"}')
    return folder


def test_questions_are_scored_and_answered(tflm, reader):
    done = tflm("evaluate", reader / "run", "--data", reader, "--json")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert (report["task"], report["num_examples"]) == ("question_answering zh", 2)
    assert [score["name"] for score in report["scores"]] == ["exact_match", "f1"]
    assert "cmrc:2018" in report["scores"][0]["signature"]
    rows = [example["source"].split("\n") for example in report["examples"]]
    lines = [
        json.dumps({"context": rows[0][1], "question": rows[0][0]}),
        "谁？",
        "\t".join(rows[1]),
    ]
    stdin = "".join(f"{line}\r\n" for line in lines).encode()
    done = tflm("predict", reader / "run", "--json", "--skip-bad", stdin=stdin)
    assert done.code == 0, done.err
    found = [json.loads(line) for line in done.out.splitlines()]
    assert [each["answer"] for each in found] == [each["hypothesis"] for each in report["examples"]]
    assert set(found[0]) == {"answer", "start", "end", "score", "truncated"}
    assert "standard input, line 2: expected a JSON object with question and con" in done.err


def test_what_is_no_question_is_refused(refused, reader, tmp_path):
    run = reader / "run"
    (tmp_path / "dev.json").write_text("{}")
    for arguments, message in (
        (["predict", run, "谁？"], "`texts` must be question and context in turn, or each a JSON"),
        (["predict", run, '{"question": "谁？"}'], "a string in field 'context'. Received: the f"),
        (["evaluate", run, "--data", reader, "--languages", "en-zh"], "`languages` must be left"),
        (["evaluate", run, "--data", reader, "--split", "valid"], "must hold valid.json or val"),
        (["evaluate", run, "--data", tmp_path / "dev.json"], "must be JSON in SQuAD's format"),
        (["evaluate", run / "model", "--data", reader], "`target_language` must be given, 'de'"),
    ):
        assert message in refused(*arguments)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """A classifier of pairs of texts with fresh weights, and pairs with numbers for labels."""
    from tflm.tasks import SentimentAnalysis

    folder = tmp_path_factory.mktemp("classifier")
    rows = [("a fine film", "这部电影很好。", "same"), ("a dull film", "电影很好。", "other")] * 3
    text = "".join(f"{int(label == 'same')},{pair},{text}\n" for text, pair, label in rows)
    (folder / "test.csv").write_text(f"label,text_pair,text\n{text}only two,cells\n")
    changes = {"embedding_dim": 6, "hidden_dim": 9}
    options = {"vocab_size": 310, "algorithm": "char", "changes": changes}
    task = SentimentAnalysis.from_texts(rows, pairs=True, labels=("other", "same"), **options)
    task.save_pretrained(folder / "model")
    return folder, [row[:2] for row in rows], task


@pytest.fixture
def few_resamples(monkeypatch):
    """Scikit-learn takes a millisecond a resample."""
    from tflm.eval import evaluate

    few = functools.partial(evaluate, num_resamples=5)
    monkeypatch.setattr("tflm.tasks.evaluation.evaluate", few)


def test_pairs_of_texts_are_scored_by_their_labels_names_and_classified(
    tflm, classifier, few_resamples
):
    folder, pairs, task = classifier
    data = ["--data", folder, "--skip-bad", "--json"]
    done = tflm("evaluate", folder / "model", *data, "--metric", "accuracy", "--metric", "brier")
    assert done.code == 0, done.err
    assert "Skipped 1 lines." in done.err
    report = json.loads(done.out)
    expected = task.answer(pairs)
    right = [one == other for one, other in zip(expected, ["same", "other"] * 3, strict=True)]
    assert report["scores"][0]["value"] == pytest.approx(np.mean(right))
    assert [example["references"] for example in report["examples"]][:2] == [["same"], ["other"]]
    arguments = [text for pair in pairs[:2] for text in pair]
    done = tflm("predict", folder / "model", *arguments)
    assert (done.out, done.err) == ("".join(f"{label}\n" for label in expected[:2]), "")


def test_a_classifier_is_scored_before_it_is_exported(tflm, classifier, few_resamples, tmp_path):
    folder, pairs, _ = classifier
    lines = (f"{text}\t{pair}\tother\n" for text, pair in pairs)
    (tmp_path / "one_label.tsv").write_text("".join(lines))
    arguments = ["export", folder / "model", tmp_path / "m", "--data", tmp_path / "one_label.tsv"]
    done = tflm(*arguments, "--require", "accuracy>=1.5")
    assert done.code == 3, done.err
    assert "accuracy>=1.5  NOT MET: Accuracy" in done.err
    assert not (tmp_path / "m").exists()
