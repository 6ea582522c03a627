import dataclasses
import functools
import io
import json
import random

import pytest
from rich.console import Console

from tflm.data import BadLineReport, QuestionExample, SpanAnswer
from tflm.tasks import QuestionAnswering
from tflm.tasks.question_answering_recipes import (
    QuestionAnsweringRecipe,
    QuestionAnsweringSettings,
)
from tflm.tasks.question_answering_run import QuestionAnsweringRun, split_contexts
from tflm.tasks.runs import open_run

SETTINGS = QuestionAnsweringSettings(
    language="zh",
    preset="transformer_encoder/tiny",
    vocab_size=320,
    algorithm="char",
    unanswerable=True,
    hidden_dim=12,
    num_layers=1,
    num_heads=3,
    dropout=0.0,
    embedding_dropout=0.0,
    sequence_length=40,
    overlap=10,
    max_question_length=12,
    max_answer_length=5,
    tokens_per_batch=512,
    learning_rate=1e-2,
    warmup_steps=2,
    epochs=2,
    ema=0.5,
    dtype="float32",
)


def paragraphs(count, seed, shift=0):
    """SQuAD's JSON: who lives where, in Chinese; the first answer stands beside its offset."""
    generator = random.Random(seed)
    found = []
    for number in range(count):
        who, where = generator.choice(["安娜", "李明"]), generator.choice(["北京", "上海"])
        context = f"{who}住在{where}。第{number}号。"
        start = 4 + (shift if number == 0 else 0)
        answers = [{"text": where, "answer_start": start}]
        qas = [{"id": f"{number}a", "question": f"{who}住在哪里？", "answers": answers}]
        nobody = {"id": f"{number}b", "question": "王芳住在哪里？", "answers": []}
        qas.append({**nobody, "is_impossible": True})
        found.append({"context": context, "qas": qas})
    return {"data": [{"title": "", "paragraphs": found}]}


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for name, count, seed in (("train", 24, 1), ("test", 6, 3)):
        data = paragraphs(count, seed, shift=1 if name == "train" else 0)
        (folder / f"{name}.json").write_text(json.dumps(data, ensure_ascii=False))
    return folder


def open_one(directory, out, **changes):
    console = Console(file=io.StringIO(), width=300)
    changes = {**dataclasses.asdict(SETTINGS), **changes}
    return open_run(directory, out, "question_answering", changes=changes, console=console)


@pytest.fixture(scope="module")
def whole(directory, tmp_path_factory):
    run = open_one(directory, tmp_path_factory.mktemp("whole") / "run")
    run.train()
    return run


def test_a_run_leaves_a_finished_task(whole):
    task = QuestionAnswering.from_pretrained(whole.out / "model")
    config = task.model.config
    assert (config.hidden_dim, config.num_layers, config.dropout) == (12, 1, 0.0)
    assert (task.sequence_length, task.max_answer_length, task.unanswerable) == (40, 5, True)
    history = json.loads((whole.out / "history.json").read_text())["epochs"]
    assert history[1]["loss"] < history[0]["loss"]


def test_what_became_of_the_answers_is_said(whole):
    said = whole.console.file.getvalue()
    assert "48 questions, 24 without an answer; 24 answers, 1 moved" in said
    assert "num_windows=48, num_empty=24" in said


def test_the_finished_task_is_scored(whole):
    report = whole.evaluate("test")["answers"]
    scores = {score.name: score for score in report.scores}
    assert sorted(scores) == ["exact_match", "f1"]
    assert scores["f1"].num_examples == 12
    assert scores["f1"].components["no_answer_examples"] == 6
    assert scores["f1"].signature.startswith("squad:2.0|cmrc:2018|")
    assert scores["f1"].signature.endswith("|no_answer>0.5")
    assert (whole.out / "report" / "report.json").is_file()


def test_a_task_that_always_answers_says_so_where_some_questions_have_no_answer(
    directory, whole, tmp_path
):
    run = open_one(directory, tmp_path, unanswerable=False)
    run.new_task()
    line = "Questions without an answer get one too, for want of unanswerable=true."
    assert line in run.console.file.getvalue()
    assert line not in whole.console.file.getvalue()


def test_questions_that_do_not_fit_are_skipped_where_that_is_asked_for(directory, tmp_path):
    bad = json.loads((directory / "train.json").read_text())
    bad["data"][0]["paragraphs"][1]["qas"][0]["question"] = None
    (tmp_path / "train.json").write_text(json.dumps(bad))
    recipe = QuestionAnsweringRecipe("anything", {"train": ("train.json",)}, SETTINGS)
    for read in (
        functools.partial(QuestionAnsweringRun.recipe_data, recipe),
        functools.partial(QuestionAnsweringRun.recipe_data, dataclasses.replace(recipe, holdout=1)),
        lambda where, *how: QuestionAnsweringRun.directory_data(where, SETTINGS, *how),
    ):
        report = BadLineReport()
        found = read(tmp_path, "skip", report)
        assert sum(len(list(rows)) for rows in found.values()) == 47
        assert report.total == 1
        with pytest.raises(ValueError, match="train.json, question 3: An example must have a str"):
            [list(rows) for rows in read(tmp_path, "raise", report).values()]


def test_a_sample_of_held_out_questions_is_answered_during_training(whole, directory, tmp_path):
    for name, kind in (("train", "train"), ("dev", "test")):
        (tmp_path / f"{name}.json").write_text((directory / f"{kind}.json").read_text())
    run = open_one(tmp_path, tmp_path / "run", score_every=3)
    assert sorted(run.data) == ["train", "valid"]
    (watch,) = run.callbacks(QuestionAnswering.from_pretrained(whole.out / "model"))
    assert (watch.monitor, watch.every, len(watch.sources)) == ("val_f1", 3, 12)
    assert watch.references[:2] == [whole_answers(directory)[0], []]
    assert whole.callbacks(None) == []


def whole_answers(directory):
    paragraphs = json.loads((directory / "test.json").read_text())["data"][0]["paragraphs"]
    return [[answer["text"] for answer in each["qas"][0]["answers"]] for each in paragraphs]


def test_sizes_are_the_settings_or_else_the_presets(directory, tmp_path):
    changes = {"preset": "qanet/tiny", "num_heads": 1, "num_readings": 3, "embedding_dropout": 0.4}
    config = open_one(directory, tmp_path, **changes).new_task().model.config
    assert (config.hidden_dim, config.num_heads, config.num_readings) == (12, 1, 3)
    assert (config.num_model_blocks, config.embedding_dim) == (2, 128)
    assert (config.embedding_dropout, config.dropout) == (0.4, 0.0)


def test_a_run_starts_from_the_encoder_of_another(whole, directory, tmp_path):
    run = open_one(directory, tmp_path, start=str(whole.out), dropout=0.3, accumulate=2)
    task = run.new_task()
    assert (task.optimizer.gradient_accumulation_steps, run.monitor) == (2, ("val_f1", "max"))
    first = QuestionAnswering.from_pretrained(whole.out / "model")
    assert task.model.config.dropout == 0.3
    ours, theirs = (each.model.embedding.get_weights()[0] for each in (task, first))
    assert (ours == theirs).all()
    assert task.tokenizer.model == first.tokenizer.model


def test_a_recipe_holds_out_contexts_where_there_is_no_test(directory):
    recipe = QuestionAnsweringRecipe(
        "anything", {"train": ("test.json", "train.json")}, SETTINGS, holdout=0.25
    )
    data = QuestionAnsweringRun.recipe_data(recipe, directory, "raise", None)
    kept, held_out = ([context for _, context in data[split]] for split in ("train", "test"))
    assert (len(kept), len(held_out)) == (12 + 36, 12)
    assert not {*held_out} & {*kept[12:]}
    single = dataclasses.replace(recipe, files={"train": ("train.json",)})
    data = QuestionAnsweringRun.recipe_data(single, directory, "raise", None)
    assert [len(list(data[split])) for split in ("train", "test")] == [36, 12]


def test_a_context_is_on_one_side_only():
    examples = [
        QuestionExample("?", context, (SpanAnswer(context, 0),)) for context in "aabbbcddddd"
    ]
    kept, held_out = split_contexts(examples, 0.5)
    assert "".join(each.context for each in kept) == "aabbbc"
    assert "".join(each.context for each in held_out) == "ddddd"


def test_a_file_or_a_split_is_scored(directory):
    settings = {"task": "question_answering", "language": "zh"}
    for path, split in ((directory, "test"), (directory / "test.json", "")):
        rows = QuestionAnsweringRun.open_split(path, split, settings, "raise", None)
        data = QuestionAnsweringRun.scored_data(rows, settings)
        assert len(data.inputs) == len(data.references) == 12
        assert data.references[:2] == [whole_answers(directory)[0], []]
        assert data.metric_names() == ("exact_match_squad2", "f1_squad2")
        assert (data.fields, data.language) == (("question", "context"), "zh")
    with pytest.raises(FileNotFoundError, match="`data` must hold valid.json or valid.json.gz"):
        QuestionAnsweringRun.open_split(directory, "valid", settings, "raise", None)


def test_missing_files_are_named(directory, tmp_path):
    recipe = QuestionAnsweringRecipe("anything", {"train": ("no.json",)}, SETTINGS)
    with pytest.raises(FileNotFoundError, match=r"with no.json for recipe anything. .* no file"):
        QuestionAnsweringRun.recipe_data(recipe, directory, "raise", None)
    with pytest.raises(FileNotFoundError, match="`data` must hold train.json or train.json.gz"):
        QuestionAnsweringRun.directory_data(tmp_path, SETTINGS, "raise", None)


def test_unrelated_questions_are_added_and_nothing_else_changes(directory, tmp_path):
    plain = open_one(directory, tmp_path / "plain")
    more = open_one(directory, tmp_path / "more", unrelated=1.0)
    before, after = (list(run.data["train"].examples) for run in (plain, more))
    added = [example for example in after if example not in before]
    assert [example for example in after if example in before] == before
    assert added
    assert all(example.is_impossible and not example.answers for example in added)
    assert {example.question for example in added} <= {example.question for example in before}
    assert list(more.data["test"].examples) == list(plain.data["test"].examples)
    assert json.loads((more.out / "run.json").read_text())["unrelated"] == 1.0
    said = more.console.file.getvalue()
    assert f"{len(added)} questions asked once more of a text beside theirs.\n" in said
    assert "1 moved" in said  # what the files' report says is not lost


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"unrelated": 0.5, "unanswerable": False},
            r"`unrelated` must be 0 where every question has an answer.*unrelated=0.5",
        ),
        ({"unrelated": 1.5}, r"`unrelated` must be from 0 to 1. Received: unrelated=1.5"),
    ],
)
def test_what_unrelated_cannot_be_is_refused(directory, tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        open_one(directory, tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()
