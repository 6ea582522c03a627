"""Requests with which TF Serving warms a model up, with the answers that they had at the export.

`assets.extra/tf_serving_warmup_requests` is a TFRecord file of `PredictionLog`s
(`apis/prediction_log.proto`). A server replays their requests before it offers the model, and reads
no response; ours hold the response as well, so that a check can compare.
"""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from tensorflow.core.framework import tensor_pb2

FILE = "tf_serving_warmup_requests"
MOST_RECORDS = 1000


@dataclasses.dataclass(frozen=True)
class Record:
    """A request and its answer.

    Args:
        signature: name of the signature; "" is the default one.
        inputs: arrays by name.
        outputs: arrays by name; none where the answer was not recorded.
    """

    signature: str
    inputs: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]


def write_warmup(
    directory: str | os.PathLike[str], model: str, records: Iterable[Record]
) -> pathlib.Path:
    """Writes the records into `assets.extra` of a SavedModel.

    Args:
        directory: the SavedModel's.
        model: the name under which it is served.
        records: requests with their answers.
    """
    path = pathlib.Path(directory, "assets.extra", FILE)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            log = _prediction_log()()
            for message in (log.predict_log.request, log.predict_log.response):
                message.model_spec.name = model
                message.model_spec.signature_name = record.signature
            _set(log.predict_log.request.inputs, record.inputs)
            _set(log.predict_log.response.outputs, record.outputs)
            writer.write(log.SerializeToString())
    return path


def read_warmup(directory: str | os.PathLike[str]) -> list[Record]:
    """The records of a SavedModel, none where it has none.

    Raises:
        ValueError: the file is damaged, or holds something else than requests to predict.
    """
    path = pathlib.Path(directory, "assets.extra", FILE)
    if not path.is_file():
        return []
    try:
        logs = [
            _prediction_log().FromString(record.numpy())
            for record in tf.data.TFRecordDataset(str(path))
        ]
    except (tf.errors.DataLossError, DecodeError) as error:
        raise ValueError(f"{FILE} must be TFRecords of PredictionLog. Received: {error}") from error
    found = []
    for number, log in enumerate(logs):
        if not log.HasField("predict_log"):
            raise ValueError(
                f"{FILE} must hold Predict requests. Received: another, number {number}"
            )
        request, response = log.predict_log.request, log.predict_log.response
        found.append(
            Record(request.model_spec.signature_name, _get(request.inputs), _get(response.outputs))
        )
    return found


def _set(field: Any, arrays: Mapping[str, np.ndarray]) -> None:
    for name, array in arrays.items():
        field[name] = tf.make_tensor_proto(array).SerializeToString()


def _get(field: Mapping[str, bytes]) -> dict[str, np.ndarray]:
    return {
        name: tf.make_ndarray(tensor_pb2.TensorProto.FromString(content))
        for name, content in field.items()
    }


@functools.cache
def _prediction_log() -> Any:
    """The class of `PredictionLog` as far as it is needed, each tensor as its bytes.

    Made here, so that an export needs no package of the server's; on the wire it is the same. The
    pool is its own, so that the package `tensorflow-serving-api` may be imported too.
    """
    file = descriptor_pb2.FileDescriptorProto(
        name="tflm/prediction_log.proto", package="tflm.warmup", syntax="proto3"
    )
    spec = file.message_type.add(name="ModelSpec")
    _field(spec, "name", 1, "string")
    _field(spec, "signature_name", 3, "string")
    for name, spec_number, tensors, number in (
        ("PredictRequest", 1, "inputs", 2),
        ("PredictResponse", 2, "outputs", 1),
    ):
        message = file.message_type.add(name=name)
        _field(message, "model_spec", spec_number, "message", "ModelSpec")
        entry = message.nested_type.add(name=f"{tensors.capitalize()}Entry")
        entry.options.map_entry = True
        _field(entry, "key", 1, "string")
        _field(entry, "value", 2, "bytes")
        field = _field(message, tensors, number, "message", f"{name}.{entry.name}")
        field.label = field.LABEL_REPEATED
    predict = file.message_type.add(name="PredictLog")
    _field(predict, "request", 1, "message", "PredictRequest")
    _field(predict, "response", 2, "message", "PredictResponse")
    log = file.message_type.add(name="PredictionLog")
    _field(log, "predict_log", 6, "message", "PredictLog")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tflm.warmup.PredictionLog"))


def _field(message: Any, name: str, number: int, kind: str, type_name: str = "") -> Any:
    kinds = descriptor_pb2.FieldDescriptorProto
    field = message.field.add(name=name, number=number, label=kinds.LABEL_OPTIONAL)
    field.type = getattr(kinds, f"TYPE_{kind.upper()}")
    if type_name:
        field.type_name = f".tflm.warmup.{type_name}"
    return field
