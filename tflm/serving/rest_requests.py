"""What the JSON of a request asks (`util/json_tensor.cc`): arrays, or `tf.Example`s."""

import base64
import binascii
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import input_pb2

from tflm.serving.json_text import show, to_bytes
from tflm.serving.status import Code, RequestError, invalid
from tflm.serving.tensors import type_name

_SIGNATURE, _INSTANCES, _INPUTS = "signature_name", "instances", "inputs"
_CONTEXT, _EXAMPLES = "context", "examples"
_BASE64 = "b64"
_MOST_DIMENSIONS = 32  # NumPy's, of all versions
_SIZES = {  # types that are read as integers, and how far these go
    tf.int8: (-(2**31), 2**31),
    tf.int16: (-(2**31), 2**31),
    tf.int32: (-(2**31), 2**31),
    tf.uint8: (-(2**31), 2**31),
    tf.uint16: (-(2**31), 2**31),
    tf.int64: (-(2**63), 2**63),
    tf.uint32: (0, 2**32),
    tf.uint64: (0, 2**64),
}
_LARGEST_WHOLE = {tf.float32: 2**24 - 1, tf.float64: 2**53 - 1}


def signature_name(document: Any) -> str:
    """The signature that a request names, "" for none.

    Raises:
        RequestError: the request is no object, or the name no string.
    """
    if not isinstance(document, dict):
        raise invalid(f"JSON Value: {show(document)} Is not object")
    name = document.get(_SIGNATURE, "")
    if not isinstance(name, str):
        raise invalid(
            f"JSON Value: {show(document)} not formatted correctly. '{_SIGNATURE}' key must be a "
            "string value."
        )
    return name


def arrays(
    document: dict[str, Any], infos: Mapping[str, Any]
) -> tuple[dict[str, np.ndarray], bool]:
    """The inputs of a request to predict.

    Args:
        document: the request.
        infos: `TensorInfo`s of the signature's inputs by name.

    Returns:
        Arrays by name, and whether the request lists rows ("instances") and wants rows back.

    Raises:
        RequestError: the request does not fit the signature.
    """
    if _INSTANCES in document:
        if _INPUTS in document:
            raise invalid(
                f"JSON Value: {show(document)} Not formatted correctly expecting only one of "
                f"'{_INPUTS}' or '{_INSTANCES}' keys to exist "
            )
        rows = document[_INSTANCES]
        if not isinstance(rows, list):
            raise invalid(
                f"JSON Value: {show(document)} Expecting '{_INSTANCES}' to be an list/array"
            )
        if not rows:
            raise invalid(f"JSON Value: {show(document)} No values in '{_INSTANCES}' array")
        return _from_rows(rows, infos), True
    if _INPUTS in document:
        return _from_columns(document[_INPUTS], infos), False
    raise invalid(f"Missing '{_INPUTS}' or '{_INSTANCES}' key")


def examples(document: dict[str, Any]) -> Any:
    """The `Input` of a request to classify or regress.

    Raises:
        RequestError: the request has no examples, or they hold what an example cannot.
    """
    found = input_pb2.Input()
    add = found.example_list.examples.add
    if _CONTEXT in document:
        _fill_example(document[_CONTEXT], found.example_list_with_context.context)
        add = found.example_list_with_context.examples.add
    if _EXAMPLES not in document:
        raise invalid(
            f"JSON Value: {show(document)} When method is classify, key '{_EXAMPLES}' is expected "
            "and was not found"
        )
    listed = document[_EXAMPLES]
    if not isinstance(listed, list):
        raise invalid(
            f"JSON Value: {show(document)} Expecting '{_EXAMPLES}' value to be an list/array"
        )
    if not listed:
        raise invalid(f"JSON Value: {show(document)} '{_EXAMPLES}' value is an empty array")
    for each in listed:
        _fill_example(each, add())
    return found


def _from_rows(rows: list[Any], infos: Mapping[str, Any]) -> dict[str, np.ndarray]:
    if not isinstance(rows[0], dict) and len(infos) > 1:
        raise invalid(
            "instances is a plain list, but expecting list of objects as multiple input tensors "
            "required as per tensorinfo_map"
        )
    named = _is_object(rows[0])
    columns: dict[str, _Column] = {}
    for number, row in enumerate(rows):
        if named and not _is_object(row):
            raise invalid(f"Expecting object but got list at item {number} of input list")
        if not named and _is_object(row):
            raise invalid(f"Expecting value/list but got object at item {number} of input list")
        if not named:
            try:
                _add_row(row, next(iter(infos)), infos, columns)
            except RequestError as error:
                raise invalid(
                    f"Failed to process element: {number} of '{_INSTANCES}' list. Error: {error}"
                ) from error
            continue
        for key, value in row.items():
            try:
                _add_row(value, key, infos, columns)
            except RequestError as error:
                raise invalid(
                    f"Failed to process element: {number} key: {key} of '{_INSTANCES}' list. "
                    f"Error: {error}"
                ) from error
        if row.keys() != set(infos):
            raise invalid(
                f"Failed to process element: {number} of '{_INSTANCES}' list. JSON object: "
                f"{show(row)} keys must be equal to: {','.join(sorted(infos))}"
            )
    return {name: column.array(len(rows)) for name, column in columns.items()}


def _from_columns(value: Any, infos: Mapping[str, Any]) -> dict[str, np.ndarray]:
    if not _is_object(value):
        if len(infos) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple input tensors "
                "required as per tensorinfo_map"
            )
        value = {next(iter(infos)): value}
    found = {}
    for name in sorted(infos):
        if name not in value:
            raise invalid(f"Missing named input: {name} in '{_INPUTS}' object.")
        column = _Column(name, infos[name].dtype, _shape(value[name], name))
        column.add(value[name], column.shape)
        found[name] = column.array()
    return found


class _Column:
    """The values of an input, as they come."""

    def __init__(self, name: str, dtype: int, shape: list[int]):
        self.name = name
        self.shape = shape
        self._type = tf.as_dtype(dtype)
        self._values: list[Any] = []

    def add(self, value: Any, shape: Sequence[int]) -> int:
        """Adds the values of lists in lists; how many they were."""
        before = len(self._values)
        self._fill(value, 0, shape)
        return len(self._values) - before

    def array(self, *rows: int) -> np.ndarray:
        """The values in their shape, behind as many rows."""
        shape = (*rows, *self.shape)
        if self._type == tf.string:
            flat = np.empty(len(self._values), object)
            flat[:] = self._values
            return flat.reshape(shape)
        if self._type in _SIZES and self._type not in (tf.uint32, tf.uint64):
            flat = np.array(self._values, np.int64)  # what is too large wraps, as in C++
            return flat.astype(self._type.as_numpy_dtype).reshape(shape)
        return np.array(self._values, self._type.as_numpy_dtype).reshape(shape)

    def _fill(self, value: Any, level: int, shape: Sequence[int]) -> None:
        rank = len(shape)
        if not isinstance(value, list):
            if level != rank:
                raise invalid(
                    f"JSON Value: {show(value)} found at incorrect level: {level + 1} in the JSON "
                    f"DOM. Expected at level: {rank}"
                )
            self._values.append(_leaf(value, self._type))
            return
        if level >= rank:
            raise invalid(f"Encountered list at unexpected level: {level} expected < {rank}")
        if len(value) != shape[level]:
            raise invalid(
                f"Encountered list at unexpected size: {len(value)} at level: {level} expected "
                f"size: {shape[level]}"
            )
        for each in value:
            self._fill(each, level + 1, shape)


def _add_row(value: Any, name: str, infos: Mapping[str, Any], columns: dict[str, _Column]) -> None:
    if name not in infos:
        raise invalid(f"JSON object: does not have named input: {name}")
    shape = _shape(value, name)
    column = columns.get(name)
    if column is None:
        column = columns[name] = _Column(name, infos[name].dtype, shape)
    size, expected = column.add(value, shape), math.prod(column.shape)
    if size != expected:
        raise invalid(f"Expecting tensor size: {expected} but got: {size}")
    if shape != column.shape:
        raise invalid(f"Expecting shape {_listed(column.shape)} but got: {_listed(shape)}")


def _shape(value: Any, name: str) -> list[int]:
    """Lengths of lists in lists, of the first of each."""
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    if len(shape) >= _MOST_DIMENSIONS:
        raise invalid(f"tensor parsing error: {name}")
    return shape


def _listed(shape: Sequence[int]) -> str:
    return f"[{','.join(map(str, shape))}]"


def _leaf(value: Any, dtype: tf.DType) -> Any:
    """A value of a tensor, checked as `AddValueToTensor` does."""
    if isinstance(value, dict):
        if dtype != tf.string:
            raise _type_error(value, dtype)
        return _decoded(value)
    if dtype == tf.string:
        if not isinstance(value, str):
            raise _type_error(value, dtype)
        return to_bytes(value)
    if dtype == tf.bool:
        if not isinstance(value, bool):
            raise _type_error(value, dtype)
        return value
    if dtype in _SIZES:
        low, high = _SIZES[dtype]
        if type(value) is not int or not low <= value < high:
            raise _type_error(value, dtype)
        return value
    if dtype in _LARGEST_WHOLE:
        if type(value) not in (int, float):
            raise _type_error(value, dtype)
        return _decimal(value, dtype)
    raise RequestError(
        Code.UNIMPLEMENTED,
        f"Conversion of JSON Value: {show(value)} to type: {type_name(dtype.as_datatype_enum)}",
    )


def _decimal(value: int | float, dtype: tf.DType) -> int | float:
    if isinstance(value, int):
        fits = abs(value) <= _LARGEST_WHOLE[dtype]
    else:
        fits = not math.isfinite(value) or abs(value) <= float(dtype.max)
    if not fits:
        raise invalid(
            f"Cannot convert JSON value: {show(value)} to {type_name(dtype.as_datatype_enum)} "
            "without loss of precision."
        )
    return value


def _type_error(value: Any, dtype: tf.DType) -> RequestError:
    return invalid(
        f"JSON Value: {show(value)} Type: {_json_type(value)} is not of expected type: "
        f"{type_name(dtype.as_datatype_enum)}"
    )


def _json_type(value: Any) -> str:
    """rapidjson's name of a value's type."""
    if isinstance(value, bool) or value is None:
        return {True: "True", False: "False", None: "Null"}[value]
    names = {dict: "Object", list: "Array", str: "String"}
    return names.get(type(value), "Number")


def _is_base64(value: Any) -> bool:
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get(_BASE64), str)


def _is_object(value: Any) -> bool:
    """An object that names inputs, and is not a string in base64."""
    return isinstance(value, dict) and not _is_base64(value)


def _decoded(value: dict[str, Any]) -> bytes:
    if not _is_base64(value):
        raise invalid(f"JSON Value: {show(value)} not formatted correctly for base64 data")
    # Spaces may stand anywhere, and the padding may be missing or dots (absl::Base64Unescape).
    text = re.sub(rb"\s", b"", to_bytes(value[_BASE64])).rstrip(b"=.")
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise invalid("Unable to base64 decode") from error


def _fill_example(value: Any, example: Any) -> None:
    if not isinstance(value, dict):
        raise invalid(f"Example must be JSON object but got JSON {_json_type(value)}")
    for name, content in value.items():
        feature = example.features.feature[to_bytes(name).decode("utf-8", "replace")]
        for each in content if isinstance(content, list) else [content]:
            _fill_feature(each, name, feature)


def _fill_feature(value: Any, name: str, feature: Any) -> None:
    """Adds a value to a feature, which holds values of one kind."""
    if value is None or isinstance(value, list) or _is_object(value):
        raise invalid(f"Feature: {name} has element with unexpected JSON type: {_json_type(value)}")
    if isinstance(value, dict | str):
        kind = "bytes_list"
        value = to_bytes(value) if isinstance(value, str) else _decoded(value)
    elif isinstance(value, float):
        kind, value = "float_list", _decimal(value, tf.float32)
    else:
        kind, value = "int64_list", int(value)
        if value >= 2**63:
            raise invalid(f"Feature: {name} has uint64 element. Only int64 is supported.")
    filled = feature.WhichOneof("kind")
    if filled not in (None, kind):
        expected = filled.removesuffix("_list")
        raise invalid(f"Unexpected element type in feature: {name} expecting type: {expected}")
    getattr(feature, kind).value.append(value)
