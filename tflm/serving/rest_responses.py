"""Answers as TF Serving writes them in JSON (`util/json_tensor.cc`), in bytes.

Strings go out as they are: they are not escaped to ASCII, and bytes that are not UTF-8 stay so.
"""

import base64
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import json_format

from tflm.serving.status import invalid
from tflm.serving.tensors import type_name

_ESCAPED = re.compile(rb'[\x00-\x1f"\\]')
_ESCAPES = {b'"': rb"\"", b"\\": rb"\\", b"\n": rb"\n", b"\r": rb"\r", b"\t": rb"\t"}
_ESCAPES |= {b"\b": rb"\b", b"\f": rb"\f"}
_BYTES = "_bytes"  # the end of an output's name whose strings are written in base64
_INDENT = b"    "
_DIGITS = {np.dtype("float32"): 9, np.dtype("float64"): 17}
_SIX_DIGITS = 6
_JSON_TYPES = "float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool string"

Writer = Callable[[Any], bytes]


def error(message: str) -> bytes:
    """What a client reads of a failure."""
    return b'{\n    "error": ' + quoted(message.encode("utf-8", "surrogateescape")) + b"\n}"


def rows(outputs: Mapping[str, np.ndarray]) -> bytes:
    """The answer to "instances": an item a row, without its name where there is one output.

    Raises:
        RequestError: the outputs have no common leading dimension, or a type that JSON has not.
    """
    size = None
    for name, array in sorted(outputs.items()):
        if not array.ndim:
            raise invalid(f"Tensor name: {name} has no shape information ")
        if size is not None and len(array) != size:
            raise invalid(
                f"Tensor name: {name} has inconsistent batch size: {len(array)} expecting: {size}"
            )
        size = len(array)
    writers = {name: _writer(name, array) for name, array in sorted(outputs.items())}
    items = []
    for row in range(size or 0):
        values = {name: _one_line(outputs[name][row], write) for name, write in writers.items()}
        items.append(next(iter(values.values())) if len(values) == 1 else _object(values, 2))
    start = b"\n" + 2 * _INDENT if items and len(outputs) > 1 else b""
    between = b",\n" + 2 * _INDENT if len(outputs) > 1 else b", "
    listed = b"[" + start + between.join(items) + (b"\n" + _INDENT if items else b"") + b"]"
    return _object({"predictions": listed}, 0)


def columns(outputs: Mapping[str, np.ndarray]) -> bytes:
    """The answer to "inputs": whole outputs, without its name where there is one.

    Raises:
        RequestError: an output has a type that JSON has not.
    """
    depth = 1 if len(outputs) == 1 else 2
    values = {
        name: _many_lines(array, _writer(name, array), depth)
        for name, array in sorted(outputs.items())
    }
    found = next(iter(values.values())) if len(values) == 1 else _object(values, 1)
    return _object({"outputs": found}, 0)


def classifications(result: Any) -> bytes:
    """The answer of Classify: pairs of label and score of each example."""
    items = []
    for each in result.classifications:
        pairs = [
            b"[" + quoted(entry.label.encode()) + b", " + decimal(np.float32(entry.score)) + b"]"
            for entry in each.classes
        ]
        items.append(b"[" + b", ".join(pairs) + b"]")
    return _object({"results": b"[" + b", ".join(items) + b"\n" + _INDENT + b"]"}, 0)


def regressions(result: Any) -> bytes:
    """The answer of Regress: a number of each example."""
    items = [decimal(np.float32(each.value)) for each in result.regressions]
    return _object({"results": b"[" + b", ".join(items) + b"]"}, 0)


def model_status(response: Any) -> bytes:
    """A `GetModelStatusResponse`."""
    return _message(response).encode() + b"\n"


def metadata(response: Any, signatures: Any) -> bytes:
    """A `GetModelMetadataResponse` and the `SignatureDefMap` in it, which is a field of its own."""
    return (
        f'{{\n"model_spec":{_message(response.model_spec)}\n,\n'
        f'"metadata": {{"signature_def": {_message(signatures)}\n}}\n}}\n'
    ).encode()


def quoted(text: bytes) -> bytes:
    """A string as rapidjson writes it: control characters, quotes and backslashes are escaped."""
    return b'"' + _ESCAPED.sub(_escape, text) + b'"'


def decimal(value: Any) -> bytes:
    """A decimal: six digits where they are exact, else nine or seventeen; never an integer.

    NaN and infinities are bare words, which strict readers of JSON refuse.
    """
    if math.isnan(value):
        return b"NaN"
    if math.isinf(value):
        return b"-Infinity" if value < 0 else b"Infinity"
    text = f"{value:.{_SIX_DIGITS}g}"
    if value.dtype.type(text) != value:
        text = f"{value:.{_DIGITS[value.dtype]}g}"
    return (text if "." in text or "e" in text else f"{text}.0").encode()


def _escape(found: re.Match[bytes]) -> bytes:
    letter = found.group()
    return _ESCAPES.get(letter) or b"\\u%04X" % letter[0]


def _message(message: Any) -> str:
    return json_format.MessageToJson(
        message,
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,
        indent=1,
        ensure_ascii=False,
    )


def _writer(name: str, array: np.ndarray) -> Writer:
    """How one value of an output is written."""
    dtype = tf.as_dtype(array.dtype)
    if dtype.name not in _JSON_TYPES.split():
        raise invalid(
            f"Failed to write JSON value for tensor type: {type_name(dtype.as_datatype_enum)}"
        )
    if dtype == tf.string:
        return _base64 if name.endswith(_BYTES) else quoted
    if dtype.is_floating:
        return decimal
    if dtype == tf.bool:
        return lambda value: b"true" if value else b"false"
    return lambda value: b"%d" % int(value)


def _base64(value: bytes) -> bytes:
    return b'{\n        "b64": "' + base64.b64encode(value) + b'"\n    }'


def _one_line(array: Any, write: Writer) -> bytes:
    if not isinstance(array, np.ndarray):
        return write(array)
    if not array.ndim:
        return write(array[()])
    return b"[" + b", ".join(_one_line(each, write) for each in array) + b"]"


def _many_lines(array: Any, write: Writer, depth: int) -> bytes:
    if not isinstance(array, np.ndarray):
        return write(array)
    if not array.ndim:
        return write(array[()])
    if not len(array):
        return b"[]"
    inner = b",".join(
        b"\n" + _INDENT * (depth + 1) + _many_lines(each, write, depth + 1) for each in array
    )
    return b"[" + inner + b"\n" + _INDENT * depth + b"]"


def _object(values: Mapping[str, bytes], depth: int) -> bytes:
    """An object, its members on lines of their own."""
    inner = b",".join(
        b"\n" + _INDENT * (depth + 1) + quoted(name.encode()) + b": " + value
        for name, value in values.items()
    )
    return b"{" + inner + b"\n" + _INDENT * depth + b"}"
