import dataclasses
import gzip
import io
import json

import pytest
from rich.console import Console

from tflm.data import BadLine, BadLineReport
from tflm.models import gpt2
from tflm.models.pointer_generator import Config, PointerGenerator
from tflm.tasks import Summarization
from tflm.tasks.runs import find_run
from tflm.tasks.summarization_recipes import RECIPES, SummarizationSettings
from tflm.tasks.summarization_run import SummarizationRun

NAMES = ("Anna", "Bert", "张三", "李四")
PAIRS = [
    (f"#Person{i % 2}#: well,\n{NAMES[i % 4]} wants tea {i % 7}", f"{NAMES[i % 4]} wants tea")
    for i in range(80)
]
SETTINGS = SummarizationSettings(
    preset="pointer_generator/nano",
    vocab_size=320,
    symbols="#Person0# #Person1#",
    dropout=0.0,
    learning_rate=5e-3,
    warmup_steps=4,
    epochs=2,
    tokens_per_batch=400,
    max_source_length=40,
    max_length=20,
    min_length=2,
    coverage_penalty=0.5,
    max_length_ratio=0.9,
    average_last=1,
    score_every=1,
    beam=2,
    dtype="float32",
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished run."""
    sizes = {"hidden_dim": 16, "ffn_dim": 24, "num_heads": 2}
    layers = {"num_encoder_layers": 1, "num_decoder_layers": 1}
    PointerGenerator.PRESETS["nano"] = Config(**sizes, **layers)
    try:
        out = tmp_path_factory.mktemp("whole")
        run = make(out)
        run.train()
        yield run
    finally:
        del PointerGenerator.PRESETS["nano"]


def make(out, data=None, settings=SETTINGS):
    data = data or {"train": PAIRS, "valid": PAIRS[:9], "test": PAIRS[9:14]}
    return SummarizationRun(out, data, settings, Console(file=io.StringIO(), width=200))


def test_a_run_leaves_a_finished_task(whole):
    task = Summarization.from_pretrained(whole.out / "model")
    assert (task.max_source_length, task.max_length_ratio) == (40, 0.9)
    assert task.limits.min_length == 2 and task.limits.coverage_penalty == 0.5
    assert (task.strategy.num_beams, task.limits.no_repeat_ngram_size) == (2, 3)
    history = json.loads((whole.out / "history.json").read_text())["epochs"]
    assert history[1]["loss"] < history[0]["loss"]
    assert 0.0 <= history[1]["val_rouge1"] <= 100.0
    ids = task.source_tokenizer.tokenize(["#Person1#: tea"]).to_list()[0]
    pieces = task.source_tokenizer.detokenize([[i] for i in ids]).numpy().tolist()
    assert b"#Person1#" in pieces
    assert whole.monitor == ("val_rouge1", "max")
    assert "val_rouge1: " in whole.console.file.getvalue()  # what the weights are chosen by


@pytest.mark.slow
def test_the_finished_task_is_scored_beside_the_trivial_systems(whole):
    reports = whole.evaluate("test")
    assert list(reports) == ["beam", "greedy"]
    report = reports["beam"]
    assert (report.task, report.data, report.num_examples) == ("summarization en", "test", 5)
    names = ["rouge1", "rouge2", "rougeL", "rougeLsum", "length_ratio", "empty"]
    assert [score.name for score in report.scores] == names
    assert [each.name for each in report.baselines] == ["lead_1", "lead_3", "longest_sentence"]
    assert (whole.out / "report" / "greedy" / "report.json").is_file()


@pytest.mark.parametrize("ending", ["jsonl", "tsv", "csv.gz"])
def test_a_directory_holds_splits_with_named_columns(tmp_path, ending):
    rows = [("一段文字", "标题"), ("text, with commas", "title")]
    settings = SummarizationSettings(document="abstract", summary="title")
    for name in ("train", "dev"):
        lines = {
            "jsonl": [json.dumps({"title": b, "abstract": a}) for a, b in rows],
            "tsv": ["title\tabstract", *(f"{b}\t{a}" for a, b in rows)],
            "csv.gz": ["abstract,title", *(f'"{a}",{b}' for a, b in rows)],
        }[ending]
        content = "\n".join(lines).encode() + b"\n"
        path = tmp_path / f"{name}.{ending}"
        path.write_bytes(gzip.compress(content) if ending.endswith("gz") else content)
    data = SummarizationRun.directory_data(tmp_path, settings, "raise", BadLineReport())
    assert {split: list(pairs) for split, pairs in data.items()} == {"train": rows, "valid": rows}
    opened = SummarizationRun.open_split(tmp_path, "dev", vars(settings), "raise", BadLineReport())
    assert list(opened) == rows


def test_a_directory_without_training_data_is_refused(tmp_path):
    settings = SummarizationSettings()
    with pytest.raises(FileNotFoundError, match=r"`data` must hold train.jsonl, train.tsv or tr"):
        SummarizationRun.directory_data(tmp_path, settings, "raise", BadLineReport())
    with pytest.raises(FileNotFoundError, match=r"`data` must hold test.jsonl, "):
        SummarizationRun.open_split(tmp_path, "test", {}, "raise", BadLineReport())


def test_a_record_without_a_summary_is_named(tmp_path):
    (tmp_path / "train.jsonl").write_text('{"document": "a"}\n')
    data = SummarizationRun.directory_data(
        tmp_path, SummarizationSettings(), "raise", BadLineReport()
    )
    with pytest.raises(BadLine, match="train.jsonl, line 1: expected text in field 'summary'"):
        list(data["train"])


def test_a_recipes_data_is_split_and_held_out(tmp_path):
    assert find_run("", "csl_title") == (SummarizationRun, RECIPES["csl_title"])
    with pytest.raises(FileNotFoundError, match="with dev.jsonl for recipe csl_title"):
        SummarizationRun.recipe_data(RECIPES["csl_title"], tmp_path, "raise", BadLineReport())
    rows = [(f"摘要{i}", f"题目{i}") for i in range(41)]
    lines = "".join(json.dumps({"abstract": a, "title": b}) + "\n" for a, b in rows)
    for name in ("dev.jsonl", "test.jsonl"):
        (tmp_path / name).write_text(lines)
    data = SummarizationRun.recipe_data(RECIPES["csl_title"], tmp_path, "raise", BadLineReport())
    assert list(data["valid"]) == [rows[19], rows[39]]
    assert len(list(data["train"])) == 39 and list(data["test"]) == rows


def test_a_file_is_scored_in_the_models_language():
    rows = [("一段文字", "标题")]
    settings = {"task": "summarization", "language": "zh"}
    data = SummarizationRun.scored_data(rows, settings)
    assert (data.inputs, data.references, data.language) == (["一段文字"], ["标题"], "zh")
    data = SummarizationRun.scored_data(rows, {"task": "summarization", "languages": "en-ja"})
    assert data.language == "ja"


# A decoder in the place of an encoder-decoder.


@pytest.fixture
def nano_decoder(monkeypatch):
    """A preset of `gpt2` that a test can train, with fewer positions than a run asks for."""
    sizes = {"hidden_dim": 16, "ffn_dim": 24, "num_heads": 2, "num_layers": 1, "max_length": 32}
    monkeypatch.setitem(gpt2.GPT2.PRESETS, "nano", gpt2.Config(**sizes))
    return "gpt2/nano"


def test_a_fresh_decoder_has_positions_for_text_and_summary(nano_decoder, tmp_path):
    settings = dataclasses.replace(
        SETTINGS, preset=nano_decoder, coverage_penalty=0.0, prompt="{text}\n摘要："
    )
    task = make(tmp_path, settings=settings).new_task()
    assert task.model.config.max_length == settings.max_source_length + settings.max_length == 60
    assert (task.model.config.dropout, task.prompt) == (0.0, "{text}\n摘要：")
    longer = gpt2.Config(max_length=90)
    run = make(tmp_path / "longer", settings=settings)
    assert run.fresh_sizes(gpt2.GPT2, longer) == {"max_length": 90}
    assert run.fresh_sizes(PointerGenerator, longer) == {}


@pytest.mark.slow
def test_the_command_takes_a_decoder_from_text_to_a_saved_model(nano_decoder, tflm, tmp_path):
    lines = [json.dumps({"document": a, "summary": b}, ensure_ascii=False) for a, b in PAIRS]
    for split in ("train", "valid", "test"):
        (tmp_path / f"{split}.jsonl").write_text("\n".join(lines[:30]) + "\n")
    run, exported = tmp_path / "run", tmp_path / "exported"
    changes = ("vocab_size=320", "max_length=9", "dtype=float32", "average_last=1", "score_every=1")
    done = tflm(
        *("train", "summarization", "--model", nano_decoder, "--data", tmp_path, "--out", run),
        *("--epochs", 1, *(part for each in changes for part in ("--set", each))),
    )
    assert done.code == 0, done.err
    assert "ROUGE-1" in done.out
    assert tflm("export", run, exported).code == 0
    answers = [tflm("predict", where, PAIRS[3][0], "--json").out for where in (run, exported)]
    ours, served = map(json.loads, answers)
    assert ours["text"] == served["text"] and set(ours) == {"text", "score", "truncated"}
    done = tflm("evaluate", exported, "--data", tmp_path, "--json")
    assert json.loads(done.out)["task"] == "summarization"
    # The network of a run is what another one starts from.
    settings = dataclasses.replace(SETTINGS, preset=nano_decoder, start=str(run))
    model, *_ = make(tmp_path / "again", settings=settings).network()
    assert (type(model), model.config.max_length) == (gpt2.GPT2, 521)
