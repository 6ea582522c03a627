import json

import pytest

from tflm.data import BadLine, BadLineReport
from tflm.tasks.input_rows import (
    PAIR,
    QUESTION,
    TEXT,
    by_field,
    in_order,
    rows_of_arguments,
    rows_of_lines,
)

WHO, CONTEXT = "谁跑了？", "安娜跑了。"


def test_the_inputs_of_a_signature_have_the_order_of_a_row():
    assert in_order(["context", "question"]) == QUESTION
    assert in_order(["text_pair", "text"]) == PAIR
    assert in_order({"text": 1}) == TEXT
    assert in_order(["title", "body", "tag"]) == ("body", "tag", "title")


def test_rows_are_lists_by_field():
    assert by_field([(WHO, CONTEXT), ("a", "b")], QUESTION) == {
        "question": [WHO, "a"],
        "context": [CONTEXT, "b"],
    }
    assert by_field(["a", "北京"], TEXT) == {"text": ["a", "北京"]}


def test_a_line_of_one_field_is_the_text_whatever_is_in_it():
    lines = ['{"text": "a"}', "", "a\tb"]
    assert list(rows_of_lines(lines, TEXT, "lines")) == lines
    assert rows_of_arguments(lines, TEXT) == lines


def test_a_line_of_two_fields_is_an_object_or_has_a_tab_between():
    lines = [
        json.dumps({"context": CONTEXT, "id": 7, "question": WHO}),
        f"{WHO}\t{CONTEXT}",
        "{Who}?\t",
    ]
    expected = [(WHO, CONTEXT), (WHO, CONTEXT), ("{Who}?", "")]
    assert list(rows_of_lines(lines, QUESTION, "lines")) == expected
    assert rows_of_arguments(lines, QUESTION) == expected


def test_arguments_are_fields_in_turn():
    assert rows_of_arguments([WHO, CONTEXT, "a", "b\tc"], QUESTION) == [
        (WHO, CONTEXT),
        ("a", "b\tc"),
    ]
    with pytest.raises(ValueError, match="`texts` must be text and text_pair in turn.*: 3 texts"):
        rows_of_arguments(["a", "b", "c"], PAIR)
    with pytest.raises(BadLine, match="arguments, line 1: expected a string in field 'context'"):
        rows_of_arguments(['{"question": "Who?"}'], QUESTION)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("谁？", "expected a JSON object with question and context, or their texts with a tab"),
        ("a\tb\tc", "or their texts with a tab between. Received: .*a.tb.tc"),
        ('{"question": "a", "text": ""}', "in field 'context'. Received: the fields question, te"),
        ("{}", "expected a string in field 'question'. Received: the fields none"),
        ('{"question": "a", "context": 3}', "expected a string in field 'context'. Received: 3"),
        ('{"question": "\\ud800", "context": ""}', "expected UTF-8 text. Received: '.ud800'"),
        ("{" * 9999, "expected a JSON object with question and context"),
    ],
)
def test_a_line_that_is_no_row_is_named_or_skipped(line, message):
    lines = ["a\tb", line, "c\td"]
    with pytest.raises(BadLine, match=f"standard input, line 2: .*{message}"):
        list(rows_of_lines(lines, QUESTION, "standard input"))
    report = BadLineReport()
    rows = rows_of_lines(lines, QUESTION, "standard input", on_bad="skip", report=report)
    assert list(rows) == [("a", "b"), ("c", "d")]
    assert report.total == 1
