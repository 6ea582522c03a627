import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorflow_serving.apis import classification_pb2, regression_pb2

from tflm.serving import rest_responses
from tflm.serving.json_text import parse
from tflm.serving.status import RequestError

TEXTS = np.array(["好".encode(), b"a"], object)


def test_rows_of_one_output_have_no_name():
    assert rest_responses.rows({"y": np.array([[1, 2.5], [3, 4]], "float32")}) == (
        b'{\n    "predictions": [[1.0, 2.5], [3.0, 4.0]\n    ]\n}'
    )
    assert rest_responses.rows({"y": np.zeros((0, 3))}) == b'{\n    "predictions": []\n}'


def test_rows_of_several_outputs_are_objects():
    found = rest_responses.rows({"text": TEXTS, "ids": np.array([[1, 2], [3, 4]])})
    assert found.decode() == (
        '{\n    "predictions": [\n        {\n            "ids": [1, 2],\n            "text": "好"\n'
        '        },\n        {\n            "ids": [3, 4],\n            "text": "a"\n        }\n'
        "    ]\n}"
    )


def test_columns_are_lines():
    found = rest_responses.columns({"text": TEXTS})
    assert found.decode() == '{\n    "outputs": [\n        "好",\n        "a"\n    ]\n}'
    found = rest_responses.columns({"a": np.float32(2), "b": np.array([[True], [False]])})
    assert json.loads(found) == {"outputs": {"a": 2.0, "b": [[True], [False]]}}
    assert rest_responses.columns({"a": np.zeros(0)}) == b'{\n    "outputs": []\n}'


def test_bytes_are_in_base64_by_the_outputs_name():
    found = rest_responses.columns({"image_bytes": np.array([b"\xff\0"], object)})
    assert json.loads(found) == {"outputs": [{"b64": "/wA="}]}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.float32(0.1), b"0.1"),
        (np.float32(1 / 3), b"0.333333343"),
        (np.float64(1 / 3), b"0.33333333333333331"),
        (np.float32(2), b"2.0"),
        (np.float32(-0.0), b"-0.0"),
        (np.float32(9e6), b"9e+06"),
        (np.float32(3e-5), b"3e-05"),
        (np.float64(123456789), b"123456789.0"),
        (np.float32("nan"), b"NaN"),
        (np.float32("inf"), b"Infinity"),
        (np.float64("-inf"), b"-Infinity"),
    ],
)
def test_decimals_are_written_as_the_server_writes_them(value, text):
    assert rest_responses.decimal(value) == text


@given(st.floats(width=32), st.floats())
def test_decimals_come_back_as_they_were(single, double):
    for value in (np.float32(single), np.float64(double)):
        found = type(value)(parse(rest_responses.decimal(value)))
        np.testing.assert_array_equal(found, value)


@given(st.text())
def test_text_comes_back_as_it_was(text):
    assert json.loads(rest_responses.quoted(text.encode())) == text


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({"y": np.float32(1)}, "Tensor name: y has no shape information $"),
        (
            {"a": np.zeros(2), "y": np.zeros(3)},
            "Tensor name: y has inconsistent batch size: 3 expecting: 2",
        ),
        (
            {"y": np.zeros(2, "float16")},
            "Failed to write JSON value for tensor type: half",
        ),
        (
            {"y": np.zeros(2, "complex64")},
            "Failed to write JSON value for tensor type: complex64",
        ),
    ],
)
def test_what_json_cannot_hold_is_refused(outputs, message):
    with pytest.raises(RequestError, match=message):
        rest_responses.rows(outputs)


def test_an_error_is_an_object():
    assert json.loads(rest_responses.error('坏 "\n')) == {"error": '坏 "\n'}
    assert rest_responses.error("\udcff") == b'{\n    "error": "\xff"\n}'


def test_examples_have_results():
    result = classification_pb2.ClassificationResult()
    for label, score in (("好", 0.75), ("bad", float("nan"))):
        result.classifications.add().classes.add(label=label, score=score)
    assert parse(rest_responses.classifications(result))["results"][0] == [["好", 0.75]]
    assert b'[["bad", NaN]]' in rest_responses.classifications(result)
    result = regression_pb2.RegressionResult()
    result.regressions.add(value=0.2)
    assert rest_responses.regressions(result) == b'{\n    "results": [0.2]\n}'
