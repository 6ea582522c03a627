"""Requests with which TF Serving warms a model up, with the answers that they had at the export.

`assets.extra/tf_serving_warmup_requests` is a TFRecord file of `PredictionLog`s
(`apis/prediction_log.proto`). A server replays their requests before it offers the model, and reads
no response; ours hold the response as well, so that a check can compare.
"""

import dataclasses
import os
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.framework import tensor_pb2

from tflm.export.serving_messages import prediction_log

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
            log = prediction_log()()
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
            prediction_log().FromString(record.numpy())
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
