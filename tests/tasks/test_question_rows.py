import json

import pytest

from tflm.data import QuestionExample
from tflm.tasks.question_rows import QuestionRows, is_question, question_rows

ROW = {
    "id": "1",
    "question": "谁写了红楼梦？",
    "context": "红楼梦是曹雪芹写的。",
    "answers": {"text": ["曹雪芹"], "answer_start": [4]},
}
PAIRS = [(ROW["question"], ROW["context"])]


def test_every_form_of_the_same_examples_gives_the_same_pairs(tmp_path):
    answers = [{"text": "曹雪芹", "answer_start": 4}]
    question = {"id": "1", "question": ROW["question"], "answers": answers}
    paragraph = {"context": ROW["context"], "qas": [question]}
    path = tmp_path / "train.json"
    path.write_text(json.dumps({"data": [{"paragraphs": [paragraph]}]}), encoding="utf-8")
    example = QuestionExample.of(ROW)
    for given in ([ROW], [example], QuestionRows([example]), path, str(path)):
        assert is_question(given)
        rows = question_rows(given)
        assert list(rows) == list(rows) == PAIRS
        assert [each.texts for each in rows.examples] == [["曹雪芹"]]


def test_windows_are_read_once_for_a_reader():
    class Reader:
        """Nothing is read until windows are asked for their arrays."""

    rows, reader = QuestionRows([QuestionExample.of(ROW)]), Reader()
    assert rows.windows(reader) is rows.windows(reader)
    assert rows.windows(Reader()) is not rows.windows(reader)


@pytest.mark.parametrize("given", [None, 3, [], PAIRS, {"question": "?"}, iter([ROW])])
def test_what_is_no_example_is_refused(given):
    assert not is_question(given)
    with pytest.raises(ValueError, match="`examples` must be QuestionExamples, dicts .*Received: "):
        question_rows(given)


def test_what_is_scored_has_every_answer_that_a_file_gives(tmp_path):
    answers = [{"text": "曹", "answer_start": 4}, {"text": "沾", "answer_start": 4}]
    question = {"id": "1", "question": "谁？", "answers": answers}
    paragraph = {"context": ROW["context"], "qas": [question]}
    path = tmp_path / "dev.json"
    path.write_text(json.dumps({"data": [{"paragraphs": [paragraph]}]}), encoding="utf-8")
    rows = question_rows(path)
    assert [each.texts for each in rows.to_score()] == [["曹", "沾"]]
    assert [each.texts for each in rows.examples] == [["曹"]]
    examples = [QuestionExample.of(ROW)]
    assert question_rows(examples).to_score() == examples
