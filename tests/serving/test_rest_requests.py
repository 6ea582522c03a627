import json

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow.core.protobuf import meta_graph_pb2

from tflm.serving.json_text import parse
from tflm.serving.rest_requests import arrays, examples, signature_name
from tflm.serving.status import RequestError


def infos(**types):
    return {
        name: meta_graph_pb2.TensorInfo(dtype=dtype.as_datatype_enum)
        for name, dtype in types.items()
    }


TEXT, FLOATS = infos(text=tf.string), infos(x=tf.float32)


def test_rows_of_values_become_one_array():
    found, by_row = arrays({"instances": ["你好", {"b64": "/wA="}, ""]}, TEXT)
    assert by_row and found["text"].tolist() == ["你好".encode(), b"\xff\0", b""]
    found, _ = arrays({"instances": [[[1, 2.5], [3, 4]], [[5, 6], [7, 8]]]}, FLOATS)
    assert found["x"].shape == (2, 2, 2) and found["x"].dtype == np.float32
    assert found["x"].ravel().tolist() == [1, 2.5, 3, 4, 5, 6, 7, 8]


def test_columns_are_arrays_of_any_shape():
    found, by_row = arrays({"inputs": {"b64": "5L2g"}}, TEXT)
    assert not by_row and found["text"].shape == () and found["text"][()] == "你".encode()
    found, _ = arrays({"inputs": {"x": [[], []]}}, FLOATS)
    assert found["x"].shape == (2, 0)
    found, _ = arrays({"inputs": {"a": 7, "b": [True]}}, infos(a=tf.uint64, b=tf.bool))
    assert found["a"] == 7 and found["a"].dtype == np.uint64 and found["b"].tolist() == [True]


def test_base64_may_lack_its_padding_and_have_spaces():
    for text in ("YQ==", "YQ", "Y Q=\n=", "YQ.."):
        assert arrays({"inputs": [{"b64": text}]}, TEXT)[0]["text"].tolist() == [b"a"]


@pytest.mark.parametrize(
    ("value", "dtype", "message"),
    [
        (True, tf.float32, "JSON Value: true Type: True is not of expected type: float"),
        (None, tf.int32, "JSON Value: null Type: Null is not of expected type: int32"),
        (False, tf.string, "JSON Value: false Type: False is not of expected type: string"),
        ("1", tf.double, 'JSON Value: "1" Type: String is not of expected type: double'),
        (1, tf.bool, "JSON Value: 1 Type: Number is not of expected type: bool"),
        (1.0, tf.int64, "JSON Value: 1.0 Type: Number is not of expected type: int64"),
        (2**31, tf.int8, "JSON Value: 2147483648 Type: Number is not of expected type: int8"),
        (-1, tf.uint32, "JSON Value: -1 Type: Number is not of expected type: uint32"),
        (2**63, tf.int64, "Type: Number is not of expected type: int64"),
        ({}, tf.int64, "JSON Value: {} Type: Object is not of expected type: int64"),
        (
            16777216,
            tf.float32,
            "Cannot convert JSON value: 16777216 to float without loss of precision.",
        ),
        (1e39, tf.float32, r"Cannot convert JSON value: 1e\+39 to float without loss"),
        (2**53, tf.double, "Cannot convert JSON value: 9007199254740992 to double without loss"),
        (
            {"b64": 1},
            tf.string,
            'JSON Value: {\n    "b64": 1\n} not formatted correctly for base64',
        ),
        ({"b64": "YQ=a"}, tf.string, "Unable to base64 decode"),
    ],
)
def test_a_value_of_another_type_is_refused(value, dtype, message):
    with pytest.raises(RequestError, match=message):
        arrays({"inputs": {"v": [value]}}, infos(v=dtype))


def test_what_is_too_large_for_a_small_type_wraps_as_in_the_server():
    assert arrays({"inputs": [300, -1]}, infos(v=tf.uint8))[0]["v"].tolist() == [44, 255]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[1, 2], [3]], "element: 1 .* Expecting tensor size: 2 but got: 1"),
        ([[[1, 2]], [1, 2]], r"element: 1 .* Expecting shape \[1,2\] but got: \[2\]"),
        ([[1, 2], [[1], [2]]], r"element: 1 .* Expecting shape \[2\] but got: \[2,1\]"),
        ([1, [1]], r"element: 1 .* Expecting shape \[\] but got: \[1\]"),
        ([[[1], 2]], "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at l.*2"),
        ([[1, [2]]], "Encountered list at unexpected level: 1 expected < 1"),
        (
            [[[1, 2], [3]]],
            "Encountered list at unexpected size: 1 at level: 1 expected size: 2",
        ),
    ],
)
def test_lists_of_other_lengths_are_refused(rows, message):
    with pytest.raises(RequestError, match=message):
        arrays({"instances": rows}, FLOATS)


def test_more_dimensions_than_an_array_has_are_refused():
    deep = parse(b"[" * 60 + b"1" + b"]" * 60)
    with pytest.raises(RequestError, match="tensor parsing error: x"):
        arrays({"inputs": deep}, FLOATS)


def test_the_signature_is_a_string():
    assert signature_name({}) == "" and signature_name({"signature_name": "签名"}) == "签名"
    with pytest.raises(RequestError, match="'signature_name' key must be a string value."):
        signature_name({"signature_name": None})
    with pytest.raises(RequestError, match='JSON Value: "好" Is not object'):
        signature_name("好")


def test_examples_hold_lists_of_one_kind():
    found = examples(
        {
            "context": {"语": "zh"},
            "examples": [{"a": [1.5, 2.5], "b": True, "c": ["好", {"b64": "/w=="}], "d": []}, {}],
        }
    )
    listed = found.example_list_with_context
    assert listed.context.features.feature["语"].bytes_list.value == [b"zh"]
    features = listed.examples[0].features.feature
    assert features["a"].float_list.value == [1.5, 2.5]
    assert features["b"].int64_list.value == [1]
    assert features["c"].bytes_list.value == ["好".encode(), b"\xff"]
    assert features["d"].WhichOneof("kind") is None and len(listed.examples) == 2


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "When method is classify, key 'examples' is expected and was not found"),
        ({"examples": {}}, "Expecting 'examples' value to be an list/array"),
        ({"examples": []}, "'examples' value is an empty array"),
        ({"examples": [1]}, "Example must be JSON object but got JSON Number"),
        ({"context": [], "examples": [{}]}, "Example must be JSON object but got JSON Array"),
        ({"examples": [{"a": None}]}, "Feature: a has element with unexpected JSON type: Null"),
        ({"examples": [{"a": [[1]]}]}, "Feature: a has element with unexpected JSON type: Array"),
        ({"examples": [{"a": {}}]}, "Feature: a has element with unexpected JSON type: Object"),
        ({"examples": [{"词": [1, 2.5]}]}, "type in feature: 词 expecting type: int64"),
        ({"examples": [{"a": ["b", 1]}]}, "element type in feature: a expecting type: bytes"),
        ({"examples": [{"a": 2**63}]}, "Feature: a has uint64 element. Only int64 is supported."),
        ({"examples": [{"a": 1e39}]}, r"Cannot convert JSON value: 1e\+39 to float without loss"),
    ],
)
def test_examples_that_are_none_are_refused(document, message):
    with pytest.raises(RequestError, match=message):
        examples(document)


# Whatever a client sends, it is told what TF Serving would say, and nothing breaks.

# Whole numbers that `parse` reads as such; it reads those beyond as floats.
whole = st.integers(-(2**63), 2**64 - 1)
leaves = st.none() | st.booleans() | whole | st.floats() | st.text(max_size=3)
keys = st.sampled_from(["b64", "x", "a", "inputs", "instances", "词"])
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=2),
    max_leaves=8,
)
documents = st.dictionaries(
    st.sampled_from(["instances", "inputs", "signature_name", "examples", "context"]), values
)


@settings(deadline=None, max_examples=80)
@given(documents, st.sampled_from([TEXT, FLOATS, infos(a=tf.int8, x=tf.string), infos(b=tf.bool)]))
def test_any_document_is_read_or_refused(document, wanted):
    for read in (lambda: arrays(document, wanted), lambda: examples(document)):
        try:
            read()
        except RequestError as error:
            assert error.message
    text = json.dumps(document).encode()
    try:
        parsed = parse(text)
    except RequestError as error:
        assert "too big" in error.message or "surrogate" in error.message
    else:
        assert parsed.keys() == document.keys()
