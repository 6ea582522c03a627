"""Answers from a model behind TF Serving, or any server that speaks its REST or gRPC.

    http://host:8501/v1/models/NAME                   latest version
    http://host:8501/v1/models/NAME/versions/3        one version; /labels/stable a labelled one
    grpc://host:8500/NAME                             latest version
    grpc://host:8500/NAME/versions/3                  one version; /labels/stable a labelled one

The model's `serving_default` takes a batch of strings, `text`.
"""

import functools
import json
import re
import reprlib
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

Answer = dict[str, Any]
Predict = Callable[[list[str]], list[Answer]]

_TEXTS_PER_CALL = 64
_TIMEOUT = 600.0  # seconds, for one call
_REST = re.compile(r"(/.*)?/v1/models/[^/]+(/versions/\d+|/labels/[^/]+)?")
_GRPC = re.compile(r"/(?P<name>[^/]+)(/versions/(?P<version>\d+)|/labels/(?P<label>[^/]+))?")
_METHOD = "/tensorflow.serving.PredictionService/Predict"
_MAX_MESSAGE = 1 << 30  # bytes
_REQUEST, _RESPONSE = "PredictRequest", "PredictResponse"


def is_address(location: Any) -> bool:
    """Whether `location` is a server's address rather than a path."""
    return str(location).startswith(("http://", "https://", "grpc://"))


def open_served(address: str) -> Predict:
    """A function from texts to answers, one dict of the signature's outputs per text.

    Args:
        address: As above.

    Raises:
        ValueError: `address` has another form.
        ImportError: It begins with grpc:// and grpcio is not installed.
    """
    call = _grpc(address) if address.startswith("grpc://") else _rest(address)

    def predict(texts: list[str]) -> list[Answer]:
        answers: list[Answer] = []
        for start in range(0, len(texts), _TEXTS_PER_CALL):
            chunk = texts[start : start + _TEXTS_PER_CALL]
            found = call(chunk)
            if len(found) != len(chunk):
                raise ValueError(
                    f"the server must answer each text. Received: {len(found)} answers to "
                    f"{len(chunk)} texts from {address}"
                )
            answers += found
        return answers

    return predict


def _rest(address: str) -> Callable[[list[str]], list[Answer]]:
    url = urllib.parse.urlsplit(address.rstrip("/"))
    if not _REST.fullmatch(url.path) or not url.netloc:
        raise ValueError(
            "`model` must be http://host:port/v1/models/NAME, with /versions/N or /labels/LABEL "
            f"behind it for one version. Received: {address}"
        )
    forms = [_rows, _columns]  # the one that the server last answered is tried first

    def call(texts: list[str]) -> list[Answer]:
        refusals = []
        for form in list(forms):
            try:
                answers = form(f"{address.rstrip('/')}:predict", texts)
            except _Refused as refused:  # a signature may have an output without a batch dimension
                refusals.append(str(refused))
                continue
            forms.sort(key=lambda other: other is not form)
            return answers
        raise ValueError(refusals[0])

    return call


class _Refused(Exception):
    """The server says that a request is bad."""


def _rows(url: str, texts: list[str]) -> list[Answer]:
    found = _post(url, {"instances": [{"text": text} for text in texts]}, "predictions")
    # A single output has no name in rows.
    return [row if isinstance(row, dict) else {"text": row} for row in found]


def _columns(url: str, texts: list[str]) -> list[Answer]:
    found = _post(url, {"inputs": {"text": texts}}, "outputs")
    columns = found if isinstance(found, dict) else {"text": found}
    batched = {
        name: column
        for name, column in columns.items()
        if isinstance(column, list) and len(column) == len(texts)
    }
    return [dict(zip(batched, row, strict=True)) for row in zip(*batched.values(), strict=True)]


def _post(url: str, body: dict[str, Any], key: str) -> Any:
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
            answer = json.loads(response.read())
    except urllib.error.HTTPError as error:
        with error:
            text = " ".join(error.read().decode(errors="replace").split())[:500]
        message = f"the server refused. Received: {error.code} {error.reason}, {text} from {url}"
        raise (_Refused(message) if error.code == 400 else OSError(message)) from None
    except urllib.error.URLError as error:
        raise ConnectionError(
            f"`model` must be a server that answers. Received: {error.reason} from {url}"
        ) from None
    except json.JSONDecodeError:
        raise ValueError(f"the server must answer JSON. Received: none from {url}") from None
    if not isinstance(answer, dict) or key not in answer:
        raise ValueError(
            f"the server must answer with {key!r}. Received: {reprlib.repr(answer)} from {url}"
        )
    return answer[key]


def _grpc(address: str) -> Callable[[list[str]], list[Answer]]:
    try:
        import grpc
    except ImportError as error:
        raise ImportError(
            "a grpc:// address needs grpcio, which is not installed: pip install 'tflm[serving]'"
        ) from error
    url = urllib.parse.urlsplit(address.rstrip("/"))
    match = _GRPC.fullmatch(url.path)
    if match is None or not url.netloc:
        raise ValueError(
            "`model` must be grpc://host:port/NAME, with /versions/N or /labels/LABEL behind it "
            f"for one version. Received: {address}"
        )
    request_class, response_class = predict_messages()
    limits = [(f"grpc.max_{way}_message_length", _MAX_MESSAGE) for way in ("send", "receive")]
    channel = grpc.insecure_channel(url.netloc, options=limits)
    method = channel.unary_unary(
        _METHOD,
        request_serializer=request_class.SerializeToString,
        response_deserializer=response_class.FromString,
    )

    def call(texts: list[str]) -> list[Answer]:
        request = request_class()
        request.model_spec.name = match["name"]
        if match["version"]:
            request.model_spec.version.value = int(match["version"])
        if match["label"]:
            request.model_spec.version_label = match["label"]
        tensor = tf.make_tensor_proto(texts, tf.string, [len(texts)])
        request.inputs["text"] = tensor.SerializeToString()
        try:
            outputs = method(request, timeout=_TIMEOUT).outputs
        except grpc.RpcError as error:
            raise ConnectionError(
                "`model` must be a server that answers. "
                f"Received: {error.code().name}, {error.details()} from {address}"
            ) from None
        columns = {name: _column(content) for name, content in outputs.items()}
        rows = zip(*columns.values(), strict=True)
        return [dict(zip(columns, row, strict=True)) for row in rows]

    return call


def _column(content: bytes) -> list[Any]:
    values = tf.make_ndarray(type(tf.make_tensor_proto(0)).FromString(content))
    if values.dtype == object:
        return np.vectorize(bytes.decode, otypes=[object])(values).tolist()
    return values.tolist()


@functools.cache
def predict_messages() -> tuple[Any, Any]:
    """The classes of `PredictRequest` and `PredictResponse`, as far as a text model needs them.

    They are TF Serving's messages on the wire (`apis/predict.proto`, `apis/model.proto`), with each
    tensor as the bytes of its TensorProto: the wire makes no difference between a message and
    bytes. They are in a pool of their own, so the package `tensorflow-serving-api` may be imported
    in the same process.
    """
    file = descriptor_pb2.FileDescriptorProto(
        name="tflm/predict.proto", package="tflm.serving", syntax="proto3"
    )
    _message(file, "Version", ("value", 1, "int64", ""))
    _message(
        file,
        "ModelSpec",
        ("name", 1, "string", ""),
        ("version", 2, "message", "Version"),
        ("signature_name", 3, "string", ""),
        ("version_label", 4, "string", ""),
    )
    for name, field, number in ((_REQUEST, "inputs", 2), (_RESPONSE, "outputs", 1)):
        spec_number = 3 - number
        message = _message(file, name, ("model_spec", spec_number, "message", "ModelSpec"))
        entry = message.nested_type.add(name=f"{field.capitalize()}Entry")
        entry.options.map_entry = True
        _field(entry, "key", 1, "string")
        _field(entry, "value", 2, "bytes")
        repeated = _field(message, field, number, "message", f"{name}.{entry.name}")
        repeated.label = repeated.LABEL_REPEATED
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = (pool.FindMessageTypeByName(f"{file.package}.{name}") for name in (_REQUEST, _RESPONSE))
    request, response = map(message_factory.GetMessageClass, found)
    return request, response


def _message(file: Any, name: str, *fields: tuple[str, int, str, str]) -> Any:
    message = file.message_type.add(name=name)
    for field in fields:
        _field(message, *field)
    return message


def _field(message: Any, name: str, number: int, kind: str, type_name: str = "") -> Any:
    kinds = descriptor_pb2.FieldDescriptorProto
    field = message.field.add(name=name, number=number, label=kinds.LABEL_OPTIONAL)
    field.type = getattr(kinds, f"TYPE_{kind.upper()}")
    if type_name:
        field.type_name = f".tflm.serving.{type_name}"
    return field
