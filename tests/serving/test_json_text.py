import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tflm.serving.json_text import parse, show, to_bytes
from tflm.serving.status import RequestError

FAULTS = [
    (" \n", "The document is empty. at offset: 2"),
    ("tru", "Invalid value. at offset: 3"),
    ("nul]", "Invalid value. at offset: 3"),
    ("[1,]", "Invalid value. at offset: 3"),
    ("-", "Invalid value. at offset: 1"),
    ("'a'", "Invalid value. at offset: 0"),
    ("{1: 2}", "Missing a name for object member. at offset: 1"),
    ('{"a": 1,}', "Missing a name for object member. at offset: 8"),
    ('{"a" 1}', "Missing a colon after a name of object member. at offset: 5"),
    ('{"a": 1 "b": 2}', "Missing a comma or } after an object member. at offset: 8"),
    ("[1 2]", "Missing a comma or ] after an array element. at offset: 3"),
    ('["你", [1', "Missing a comma or ] after an array element. at offset: 10"),
    ("{} {}", "The document root must not be followed by other values. at offset: 3"),
    ("01", "The document root must not be followed by other values. at offset: 1"),
    ('"你', "Missing a closing quotation mark in string. at offset: 4"),
    (r'"a\x"', "Invalid escape character in string. at offset: 2"),
    (r'"a\u12g4"', r"Incorrect hex digit after \\u escape in string. at offset: 2"),
    (r'"\ud83d"', "The surrogate pair in string is invalid. at offset: 1"),
    (r'"\ud83dx12345"', "The surrogate pair in string is invalid. at offset: 1"),
    (r'"\ude00"', "The surrogate pair in string is invalid. at offset: 1"),
    ('"a\nb"', "Invalid encoding in string. at offset: 2"),
    ("[1.]", "Miss fraction part in number. at offset: 3"),
    ("1e+", "Miss exponent in number. at offset: 3"),
    ("[1e999]", "Number too big to be stored in double. at offset: 1"),
    ("1" * 400, "Number too big to be stored in double. at offset: 0"),
    ("1" * 5000, "Number too big to be stored in double. at offset: 0"),
    ("[" * 5000, "More than 500 lists and objects in each other. at offset: 501"),
]


@pytest.mark.parametrize(("text", "fault"), FAULTS, ids=[text[:12] for text, _ in FAULTS])
def test_a_fault_is_told_with_its_place_in_bytes(text, fault):
    with pytest.raises(RequestError, match=f"^INVALID_ARGUMENT: JSON Parse error: {fault}$"):
        parse(text.encode())


def test_nothing_is_an_empty_document():
    with pytest.raises(RequestError, match="JSON Parse error: The document is empty$"):
        parse(b"")


def test_json_is_read():
    text = '\ufeff {"词": ["你\\u4f60\\ud83d\\ude00", 1, -2.5, true, null, {}, []]}'
    assert parse(text.encode()) == {"词": ["你你\U0001f600", 1, -2.5, True, None, {}, []]}


def test_words_for_odd_numbers_are_read():
    nan, infinity, negative = parse(b"[NaN, Infinity, -Infinity]")
    assert math.isnan(nan) and (infinity, negative) == (math.inf, -math.inf)


def test_numbers_beyond_64_bits_are_decimals():
    values = parse(b"[18446744073709551615, 18446744073709551616, -9223372036854775809]")
    assert values == [2**64 - 1, 2.0**64, -(2.0**63)]
    assert [type(value) for value in values] == [int, float, float]


def test_bytes_that_are_no_text_are_kept():
    assert to_bytes(parse(b'"\xff\xe4\xbd"')) == b"\xff\xe4\xbd"


def test_a_value_is_shown_as_it_would_be_written():
    assert show("你") == '"你"'
    assert show(1) == "1" and show(None) == "null" and show(2.5) == "2.5"
    assert show({"a": ["好"]}) == '{\n    "a": [\n        "好"\n    ]\n}'
    assert show("长" * 300) == '"' + "长" * 85
    assert len(show(list(range(10_000)))) == 256


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text('a你"\\\n\U0001f600'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("b好"), inner, max_size=3),
    max_leaves=6,
)


@given(values, st.booleans())
def test_what_json_writes_is_read_back(value, ascii_only):
    assert parse(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(st.binary(max_size=40) | st.text('[]{}:,"\\u0dDnN1.-e tI\0', max_size=40).map(str.encode))
def test_any_bytes_are_json_or_refused_with_a_place(text):
    try:
        parse(text)
    except RequestError as error:
        assert error.message.startswith("JSON Parse error: ")
        assert " at offset: " in error.message or not text
