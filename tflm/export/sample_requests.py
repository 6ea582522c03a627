"""Requests to try a served model with: what it was asked when it was exported, as files.

SIGNATURE.rows.json       REST: an object for each row
SIGNATURE.columns.json    REST: a list for each input
SIGNATURE.grpc.pbtxt      gRPC: a `PredictRequest` as text, which `grpcurl -format text` takes

    curl -d @serving_default.rows.json http://localhost:8501/v1/models/NAME:predict
"""

import base64
import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import text_format

from tflm.export.saved_model_file import DEFAULT
from tflm.export.warmup import Record

_MOST_ROWS = 2


def sample_requests(model: str, records: Sequence[Record]) -> dict[str, str]:
    """Files by name, three for each signature that was asked.

    Args:
        model: the name under which it is served.
        records: what it was asked.
    """
    files = {}
    by_signature = sorted(records, key=lambda record: record.signature or DEFAULT)
    for signature, group in itertools.groupby(by_signature, lambda each: each.signature or DEFAULT):
        inputs = _rows([record.inputs for record in group])
        columns = {name: _plain(array) for name, array in inputs.items()}
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        files[f"{signature}.rows.json"] = _json(signature, "instances", rows)
        files[f"{signature}.columns.json"] = _json(signature, "inputs", columns)
        files[f"{signature}.grpc.pbtxt"] = _request(model, signature, inputs)
    return files


def _rows(requests: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The first rows of some requests, as one; of those whose rows are of the first one's shape."""
    names = sorted(requests[0])

    def shapes(inputs: Mapping[str, np.ndarray]) -> list[tuple[int, ...]]:
        return [inputs[name].shape[1:] for name in names]

    alike = [inputs for inputs in requests if shapes(inputs) == shapes(requests[0])]
    return {name: np.concatenate([each[name] for each in alike])[:_MOST_ROWS] for name in names}


def _plain(value: Any) -> Any:
    """What JSON holds; bytes that are no text as TF Serving has them."""
    if isinstance(value, np.ndarray):
        return [_plain(each) for each in value.tolist()]
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(value).decode()}


def _json(signature: str, key: str, value: Any) -> str:
    body = {"signature_name": signature, key: value}
    return json.dumps(body, ensure_ascii=False, indent=2) + "\n"


def _request(model: str, signature: str, inputs: Mapping[str, np.ndarray]) -> str:
    spec = (("name", model), ("signature_name", signature))
    lines = "".join(f"  {field}: {json.dumps(value)}\n" for field, value in spec)
    text = f"model_spec {{\n{lines}}}\n"
    for name, array in inputs.items():
        tensor = text_format.MessageToString(tf.make_tensor_proto(array), indent=4)
        text += f"inputs {{\n  key: {json.dumps(name)}\n  value {{\n{tensor}  }}\n}}\n"
    return text
