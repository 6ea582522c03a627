"""The examples run in an empty folder, and what they export answers as the task does."""

import pathlib
import runpy
import time

import pytest

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "examples"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """A function that runs an example and gives its variables, and what it printed."""
    monkeypatch.chdir(tmp_path)

    def run(name):
        started = time.process_time()
        found = runpy.run_path(str(FOLDER / f"{name}.py"))
        assert time.process_time() - started < 240  # of two processors: a minute, two of slow ones
        return found, capsys.readouterr().out

    return run


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_one_screen(name):
    lines = (FOLDER / f"{name}.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 40
    assert lines[0].startswith('"""') and lines[0].endswith('."""')


def test_every_task_has_its_example():
    tasks = ["question_answering", "sentiment", "summarization", "text_generation", "translation"]
    assert tasks == NAMES


def decoded(tensor):
    return [text.decode() for text in tensor.numpy()]


@pytest.mark.slow
def test_translation(run):
    found, printed = run("translation")
    assert decoded(found["answer"]["text"]) == found["task"](found["sources"][:5])
    assert found["report"].num_examples == 50 and found["report"]["bleu"].value > 0
    assert "tok:zh" in printed and f"{found['sources'][4]} -> " in printed


@pytest.mark.slow
def test_summarization(run):
    found, printed = run("summarization")
    assert decoded(found["answer"]["text"]) == found["task"](found["texts"][:5])
    assert found["report"]["rouge1"].value > 0.6
    assert str(decoded(found["answer"]["text"])) in printed


@pytest.mark.slow
def test_sentiment(run):
    found, printed = run("sentiment")
    assert decoded(found["answer"]["label"]) == ["negative", "positive"]
    assert found["task"](found["texts"]) == ["negative", "positive"]
    assert float(printed.split("\n")[-4]) > 0.9


@pytest.mark.slow
def test_question_answering(run):
    found, printed = run("question_answering")
    task, test = found["task"], found["test"]
    answers = decoded(found["answer"]["answer"])
    assert answers == task.answer([(row["question"], row["context"]) for row in test[:5]])
    exact, f1 = task.score(test, language="zh")
    assert exact.value > 50 and f1.value > 50
    assert str(answers) in printed


@pytest.mark.slow
def test_text_generation(run):
    found, printed = run("text_generation")
    assert decoded(found["answer"]["text"]) == found["task"](found["prompts"])
    assert float(printed.partition("perplexity ")[2].split()[0]) < 40
    assert "The farmer|" in printed and "我的邻居|" in printed
