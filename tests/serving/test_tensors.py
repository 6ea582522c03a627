import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

from tflm.serving.status import RequestError
from tflm.serving.tensors import to_array, to_proto, type_name


@pytest.mark.parametrize(
    "dtype",
    [
        *(tf.float32, tf.float64, tf.float16, tf.bfloat16, tf.bool, tf.complex64),
        *(tf.int8, tf.int16, tf.int32, tf.int64, tf.uint8, tf.uint16, tf.uint32, tf.uint64),
    ],
)
@pytest.mark.parametrize("shape", [(), (0,), (2, 3)])
def test_arrays_come_back_as_they_were(dtype, shape):
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype.as_numpy_dtype)
    proto = to_proto(array, dtype.as_datatype_enum)
    found = to_array(proto, "x")
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


def test_values_are_in_the_field_of_their_type():
    proto = to_proto(np.array([1.5, np.nan], "float32"), tf.float32.as_datatype_enum)
    assert proto.float_val[0] == 1.5 and not proto.tensor_content
    proto = to_proto(np.array(["你好".encode(), b"\xff\0"], object), tf.string.as_datatype_enum)
    assert list(proto.string_val) == ["你好".encode(), b"\xff\0"]
    assert to_array(proto, "x").tolist() == ["你好".encode(), b"\xff\0"]


def broken(**changes):
    proto = tf.make_tensor_proto([1.5, 2.5])
    proto.MergeFrom(tensor_pb2.TensorProto(**changes))
    return proto


def sized(*sizes):
    proto = tensor_pb2.TensorProto(dtype=tf.float32.as_datatype_enum, float_val=[1.0])
    for size in sizes:
        proto.tensor_shape.dim.add(size=size)
    return proto


@pytest.mark.parametrize(
    "proto",
    [
        broken(tensor_content=b"123"),
        broken(dtype=20),  # a resource
        broken(dtype=99),
        sized(-1),
        sized(2**40, 2**40),
        sized(2**62, 2**62, 2**62),
        tensor_pb2.TensorProto(tensor_shape=tf.TensorShape(None).as_proto(), dtype=1),
        tensor_pb2.TensorProto(),
    ],
)
def test_a_proto_that_holds_no_array_is_refused(proto):
    with pytest.raises(RequestError, match="tensor parsing error: 词"):
        to_array(proto, "词")


def test_types_have_tensorflows_names():
    names = [type_name(dtype.as_datatype_enum) for dtype in (tf.float32, tf.float64, tf.string)]
    assert names == ["float", "double", "string"]
