"""Arrays as TensorProto, in both directions."""

import math
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2

from tflm.serving.status import invalid

# Most elements that an array of a request may have: an element of a proto may be one for all.
MOST_ELEMENTS = 2**27

# The field that holds a type's values (`Tensor::AsProtoField`), and the integer they are read as.
_FIELDS: dict[str, tuple[str, Any]] = {
    "float32": ("float_val", None),
    "float64": ("double_val", None),
    "int8": ("int_val", None),
    "int16": ("int_val", None),
    "int32": ("int_val", None),
    "uint8": ("int_val", None),
    "uint16": ("int_val", None),
    "int64": ("int64_val", None),
    "uint32": ("uint32_val", None),
    "uint64": ("uint64_val", None),
    "bool": ("bool_val", None),
    "float16": ("half_val", np.uint16),
    "bfloat16": ("half_val", np.uint16),
}
_NAMES = {"float32": "float", "float64": "double", "float16": "half"}


def type_name(dtype: int) -> str:
    """A type as TensorFlow's own messages name it: float, int32, string."""
    name = tf.as_dtype(dtype).name
    return _NAMES.get(name, name)


def to_array(proto: Any, alias: str) -> np.ndarray:
    """The array of a request.

    Raises:
        RequestError: the proto holds none.
    """
    sizes = [dim.size for dim in proto.tensor_shape.dim]
    whole = not proto.tensor_shape.unknown_rank and all(size >= 0 for size in sizes)
    if not whole or math.prod(sizes) > MOST_ELEMENTS:
        raise invalid(f"tensor parsing error: {alias}")
    try:
        return np.asarray(tf.make_ndarray(proto))
    except (TypeError, ValueError, LookupError, MemoryError) as error:
        raise invalid(f"tensor parsing error: {alias}") from error


def to_proto(array: np.ndarray, dtype: Any) -> Any:
    """A TensorProto of a `DataType`, its values in the field of their type as clients read them."""
    proto = tensor_pb2.TensorProto(dtype=dtype)
    proto.tensor_shape.CopyFrom(tf.TensorShape(array.shape).as_proto())
    flat = array.ravel()
    if dtype == types_pb2.DT_STRING:
        proto.string_val.extend(flat.tolist())
        return proto
    name = tf.as_dtype(dtype).name
    if name not in _FIELDS:
        proto.tensor_content = flat.tobytes()
        return proto
    field, view = _FIELDS[name]
    getattr(proto, field).extend((flat.view(view) if view else flat).tolist())
    return proto
