import json

import pytest

from tflm.data import BadLine
from tflm.export.batch_rows import PAIR, QUESTION, TEXT, calls, in_order, length_of, row_of
from tflm.tasks.input_rows import rows_of_lines

WHO, CONTEXT = "谁跑了？", "安娜跑了。"
LINES = [
    "",
    " two  words ",
    '{"text": "a"}',
    f"{WHO}\t{CONTEXT}",
    "a\tb\t长" * 30,
    "{Who}?\t",
    json.dumps({"context": CONTEXT, "id": 7, "question": WHO}),
    '{"question": "Who?", "context": 3}',
    '{"question": "Who?"}',
    "{}",
    r'{"question": "\ud83d", "context": "b"}',
    '{"text": "北京", "text_pair": "Beijing"}',
]


@pytest.mark.parametrize("fields", [TEXT, QUESTION, PAIR], ids="+".join)
def test_a_line_is_read_as_tflm_predict_reads_it(fields):
    """And what is no row is refused with the same words."""
    bad = 0
    for line in LINES:
        try:
            (theirs,) = rows_of_lines([line], fields, "lines")
        except BadLine as error:
            bad += 1
            with pytest.raises(ValueError, match="expected") as refused:
                row_of(line, fields)
            assert str(error).endswith(str(refused.value))
        else:
            assert row_of(line, fields) == ((theirs,) if fields == TEXT else theirs)
    assert bad == (0 if fields == TEXT else 9)


def test_the_inputs_of_a_signature_have_the_order_of_a_row():
    names = [["context", "question"], ["text_pair", "text"], ["text"], ["b", "a", "c"]]
    assert [*map(in_order, names)] == [QUESTION, PAIR, TEXT, ("a", "b", "c")]


def test_an_example_may_be_its_fields_by_name():
    assert row_of({"id": "7", "text": "你好"}, TEXT) == ("你好",)
    assert row_of({"context": CONTEXT, "question": WHO}, QUESTION) == (WHO, CONTEXT)
    with pytest.raises(ValueError, match="string in field 'text'. Received: the fields id, lang"):
        row_of({"id": "7", "lang": "zh"}, TEXT)
    with pytest.raises(ValueError, match=r"expected UTF-8 text. Received: 'a\\ud800'"):
        row_of({"text": "a\ud800"}, TEXT)


def test_a_length_is_in_bytes():
    assert length_of(("你好", "abc", "")) == 9


def test_every_row_is_in_one_call_with_rows_of_like_length():
    lengths = [7, 40, 0, 3, 41, 8, 0, 1000]
    found = calls(lengths, max_rows=3, max_bytes=100)
    assert found == [[2, 6, 3], [0, 5], [1, 4], [7]]
    assert calls([], 3, 100) == []


def test_a_call_has_no_more_rows_than_it_may():
    assert [len(call) for call in calls([5] * 11, max_rows=4, max_bytes=10**6)] == [4, 4, 3]


def test_a_call_has_no_more_bytes_than_it_may_with_what_fills_it_up():
    lengths = list(range(1, 60))
    found = calls(lengths, max_rows=50, max_bytes=200)
    assert all(len(call) * max(lengths[i] for i in call) <= 200 for call in found)
    assert sorted(place for call in found for place in call) == list(range(len(lengths)))
