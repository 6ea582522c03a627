import collections
import dataclasses
import gzip
import io
import json
import re
import sys

import numpy as np
import pytest
from rich.console import Console

from tflm.data import BadLineReport
from tflm.models.transformer_encoder import Config, TransformerEncoder
from tflm.tasks import SentimentAnalysis
from tflm.tasks.fastest import Choice
from tflm.tasks.sentiment_recipes import RECIPES, SentimentRecipe, SentimentSettings
from tflm.tasks.sentiment_run import SentimentRun, Unseen, _in_words
from tflm.tokenizers import SentencePieceTokenizer
from tflm.training.checkpoint import Checkpoint, Interrupted
from tflm.training.files import load_tensors
from tflm.training.lora import lora_layers
from tflm.training.weights import weights_of

ROWS = [
    ("a fine film", "1"),
    ("a dull film", "0"),
    ("fine and warm", "1"),
    ("dull and cold", "0"),
    ("这部电影很好。", "1"),
    ("这部电影很差。", "0"),
] * 4
SETTINGS = SentimentSettings(
    labels="negative,positive",
    embedding_dim=12,
    hidden_dim=15,
    vocab_size=320,
    algorithm="char",
    max_length=30,
    tokens_per_batch=90,
    learning_rate=1e-2,
    warmup_steps=2,
    dropout=0.25,
    balanced=True,
    average_last=2,
    epochs=3,
    dtype="float32",
)
DATA = {"train": ROWS, "valid": ROWS[:6], "test": ROWS[:6]}


def run(out, settings=SETTINGS, data=DATA):
    return SentimentRun(out, data, settings, Console(file=io.StringIO(), width=200))


def write(path, rows):
    text = "".join(f"{text}\t{label}\n" for text, label in rows).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)


def test_a_label_that_training_does_not_have_is_told_before_anything_is_learned(tmp_path):
    odd = {**DATA, "test": [*ROWS[:2], ("so so", "neutral")]}
    with pytest.raises(
        ValueError, match="no label in 'test' but .* negative, positive. .*'neutral' of 'so so'"
    ):
        run(tmp_path, data=odd).train()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.json"]


def test_a_scorer_that_is_not_installed_is_missed_before_anything_is_trained(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.metrics", None)
    with pytest.raises(ImportError, match="need scikit-learn, which is not installed: pip install"):
        run(tmp_path / "out")
    assert not (tmp_path / "out").exists()
    run(tmp_path / "out", data={"train": ROWS})  # nothing is to be scored
    assert (tmp_path / "out" / "run.json").is_file()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    run(out).train()
    return out


def test_a_run_leaves_a_finished_task_with_its_head(whole):
    task = SentimentAnalysis.from_pretrained(whole / "model")
    config = task.model.config
    assert (config.embedding_dim, config.hidden_dim, config.dropout) == (12, 15, 0.25)
    assert (task.labels, task.dropout, task.max_length) == (("negative", "positive"), 0.25, 30)
    history = json.loads((whole / "history.json").read_text())["epochs"]
    assert history[-1]["val_loss"] < history[0]["val_loss"]
    assert np.abs(np.array(task.head.dense.bias)).max() > 0


def test_the_labels_are_shown_with_their_numbers(tmp_path):
    one = run(tmp_path)
    one.new_task()
    assert "Labels: '1' 12, '0' 12\n" in one.console.file.getvalue()
    counts = collections.Counter({f"l{number}": 90 - number for number in range(30)})
    shown = _in_words(counts)
    assert shown.startswith("'l0' 90, 'l1' 89, ") and shown.endswith(
        "'l18' 72, 10 others, 'l29' 61"
    )


def test_the_finished_task_is_scored(whole):
    report = run(whole).evaluate("test")["labels"]
    assert [score.name for score in report.scores] == ["accuracy", "f1_macro", "mcc"]
    task = SentimentAnalysis.from_pretrained(whole / "model")
    answers = task([text for text, _ in DATA["test"]])
    right = [task.labels[int(label)] for _, label in DATA["test"]]
    expected = np.mean([one == other for one, other in zip(answers, right, strict=True)])
    assert report["accuracy"].value == pytest.approx(expected)
    assert (whole / "report" / "report.json").is_file()


@pytest.mark.slow
def test_an_interrupted_run_ends_like_one_that_was_not(whole, tmp_path, monkeypatch):
    original = Checkpoint.on_train_batch_end

    def interrupt(self, batch, logs=None):
        self._signal = 2 if self.step == 3 else None
        original(self, batch, logs)

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "on_train_batch_end", interrupt)
        with pytest.raises(Interrupted, match="stopped after 4 updates"):
            run(tmp_path).train()
    run(tmp_path).train()
    ours, theirs = (
        SentimentAnalysis.from_pretrained(out / "model").get_weights() for out in (tmp_path, whole)
    )
    for array, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(array, expected, atol=1e-5)


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """A saved task whose encoder has attention."""
    folder = tmp_path_factory.mktemp("pretrained")
    tokenizer = SentencePieceTokenizer.train((row[0] for row in ROWS), 320, "char")
    sizes = {"hidden_dim": 12, "ffn_dim": 20, "num_heads": 3, "num_layers": 1}
    model = TransformerEncoder(Config(tokenizer.vocab_size, **sizes))
    SentimentAnalysis(model, tokenizer).save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_a_run_goes_on_with_its_lora_and_its_patience(pretrained, tmp_path):
    settings = dataclasses.replace(
        SETTINGS, start=str(pretrained), lora_rank=2, accumulate=2, patience=2, average_last=1
    )
    run(tmp_path, dataclasses.replace(settings, epochs=1)).train()
    saved = load_tensors(tmp_path / "epochs" / "epoch-0001.safetensors")[0]
    before = load_tensors(pretrained / "model.safetensors")[0]
    assert {name for name in before if np.any(before[name] != saved[name])} == {
        "block_0/attention/query_key_value/kernel",
        "head/dense/kernel",
        "head/dense/bias",
    }

    settings = dataclasses.replace(settings, epochs=9)
    again = run(tmp_path, settings)
    task = again.new_task()
    checkpoint = Checkpoint(tmp_path / "checkpoint", task)
    assert checkpoint.restore() and np.any(lora_layers(task.model)[0].lora_kernel_b)
    for name, array in weights_of(task.parts).items():
        np.testing.assert_allclose(array, saved[name], atol=1e-6)
    assert int(task.optimizer.iterations) == checkpoint.step // 2

    # One epoch is done: as many as there is patience for follow it, if nothing gets better.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SentimentRun, "monitor", ("val_tokens", "max"))
        again.train()
        assert "No better val_tokens in 2 epochs." in again.console.file.getvalue()
        run(tmp_path, settings).train()
    history = json.loads((tmp_path / "history.json").read_text())["epochs"]
    assert len(history) == 3
    assert load_tensors(tmp_path / "model" / "model.safetensors")[0].keys() == before.keys()


def test_a_run_starts_from_the_encoder_of_another(whole, tmp_path):
    settings = dataclasses.replace(SETTINGS, start=str(whole), labels="", dropout=0.0)
    settings = dataclasses.replace(settings, layer_decay=0.7)
    task = run(tmp_path, settings).new_task()
    before = SentimentAnalysis.from_pretrained(whole / "model")
    for weight, expected in zip(task.model.weights, before.model.weights, strict=True):
        np.testing.assert_array_equal(weight, expected)
    assert task.model.config == dataclasses.replace(before.model.config, dropout=0.0)
    assert task.labels == ("0", "1")
    assert task.optimizer.layer_decay == 0.7
    assert not (tmp_path / "tokenizer").exists()


@pytest.mark.slow
def test_several_labels_are_scored_as_sets(tmp_path, monkeypatch):
    rows = [("a film", "film"), ("a dog", "dog"), ("a dog in a film", "dog", "film"), ("a",)] * 4
    settings = dataclasses.replace(SETTINGS, labels="", multi_label=True, epochs=1)
    settings = dataclasses.replace(settings, dtype="auto")
    choice = Choice("float32", "reasons")
    monkeypatch.setattr("tflm.tasks.training_run.training_dtype", lambda: choice)
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
    one = run(tmp_path, settings, {"train": rows, "test": rows[:4]})
    one.train()
    said = one.console.file.getvalue()
    assert re.search(r"1 epochs, float32 for reasons, \d+ threads, oneDNN\n", said)
    report = one.evaluate("test")["labels"]
    assert [score.name for score in report.scores] == ["accuracy", "f1_macro"]
    assert "subset" in report["accuracy"].signature


def test_texts_are_cleaned_and_labels_are_not(tmp_path):
    rows = [(" 好 ", " 差 ", "no "), ("好", "差", "yes")]
    for pairs, expected in ((True, [("好", "差", "no ")]), (False, [("好", " 差 ", "no ")])):
        settings = dataclasses.replace(SETTINGS, pairs=pairs)
        clean = ["whitespace", "duplicates"]
        out = tmp_path / str(pairs)
        run = SentimentRun(out, {"train": rows}, settings, Console(file=io.StringIO()), clean)
        assert list(run.data["train"]) == expected


def test_repeated_texts_are_left_out_and_counted(tmp_path):
    recipe = SentimentRecipe(
        "toy", {"train": "train.tsv.gz", "test": "dev.tsv"}, SETTINGS, holdout=5, unseen=True
    )
    write(tmp_path / "train.tsv.gz", ROWS[:6])
    write(tmp_path / "dev.tsv", [ROWS[0], ("a new film", "1"), ROWS[5], ROWS[4]])
    report = BadLineReport()
    data = SentimentRun.recipe_data(recipe, tmp_path, "raise", report)
    for _ in range(2):
        assert list(data["train"]) == [*ROWS[:4], ROWS[5]]
        assert list(data["valid"]) == [ROWS[4]]
        assert list(data["test"]) == [("a new film", "1"), ROWS[4]]
        assert report.total == 2
    assert "dev.tsv (test): 2 x left out, for its text occurs" in report.summary()
    assert isinstance(data["test"], Unseen)
    with pytest.raises(FileNotFoundError, match="`data` must be .* with train.tsv.gz for recipe"):
        SentimentRun.recipe_data(recipe, tmp_path / "nowhere", "raise", report)


def test_splits_are_tables_or_folders_of_texts(tmp_path):
    with pytest.raises(FileNotFoundError, match="`data` must hold train.tsv, train.csv, train.js"):
        SentimentRun.directory_data(tmp_path, SETTINGS, "raise", BadLineReport())
    write(tmp_path / "train.tsv.gz", ROWS)
    (tmp_path / "dev.csv").write_text("label,text\n1,a fine film\n")
    for label in "01":
        (tmp_path / "test" / label).mkdir(parents=True)
        (tmp_path / "test" / label / "1.txt").write_text(f"film {label}")
    data = SentimentRun.directory_data(tmp_path, SETTINGS, "raise", BadLineReport())
    assert list(data["train"]) == ROWS
    assert list(data["valid"]) == [("a fine film", "1")]
    assert list(data["test"]) == [("film 0", "0"), ("film 1", "1")]


def scored(path, split="", **settings):
    settings = {"task": "sentiment_analysis", "labels": ["差", "好"], **settings}
    rows = SentimentRun.open_split(path, split, settings, "raise", BadLineReport())
    return SentimentRun.scored_data(rows, settings)


def test_a_table_or_a_split_is_scored_with_the_labels_names(tmp_path):
    (tmp_path / "dev.csv").write_text("label,text\n1,很好\n差,不好\n")
    (tmp_path / "test" / "1").mkdir(parents=True)
    (tmp_path / "test" / "1" / "a.txt").write_text("a film")
    data = scored(tmp_path, "valid")
    assert (data.inputs, data.references) == (["很好", "不好"], ["好", "差"])
    assert (data.fields, data.labels, data.reads) == (("text",), ("差", "好"), "texts")
    assert data == scored(tmp_path / "dev.csv") == scored(tmp_path / "dev.csv", labels="差,好")
    for folder, split in ((tmp_path, "test"), (tmp_path / "test", "")):
        assert scored(folder, split).references == ["好"]
    with pytest.raises(FileNotFoundError, match="`data` must hold train.tsv, .* a folder train"):
        scored(tmp_path, "train")


def test_pairs_and_several_labels_are_scored_as_the_model_has_them(tmp_path):
    lines = [{"text": "一", "text_pair": "a", "label": [0, "好"]}]
    lines.append({"text": "二", "text_pair": "b", "label": []})
    path = tmp_path / "test.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    data = scored(path, pairs=True, multi_label=True)
    assert (data.inputs, data.references) == ([("一", "a"), ("二", "b")], [["差", "好"], []])
    assert (data.fields, data.reads) == (("text", "text_pair"), "label sets")
    assert data == scored(path, pairs=True)  # a server does not say
    with pytest.raises(ValueError, match="must have one label a text .*Received: 差, 好 of '一'"):
        scored(path, pairs=True, multi_label=False)
    with pytest.raises(ValueError, match="`labels` must be given, .*data with numbers.*label 0"):
        scored(path, pairs=True, labels=[])


def test_the_real_recipes_read_what_their_readmes_say(shared_data):
    report = BadLineReport()
    found = SentimentRun.recipe_data(
        dataclasses.replace(RECIPES["chnsenticorp"], holdout=0),
        shared_data / "chnsenticorp",
        "raise",
        report,
    )
    assert sum(1 for _ in found["train"]) == 9600
    assert sum(1 for _ in found["test"]) == 1200 - 338
    assert report.total == 338
