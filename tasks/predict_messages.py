"""TF Serving's gRPC messages, made here so that a client needs no package of the server's."""

import functools
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_REQUEST, _RESPONSE = "PredictRequest", "PredictResponse"


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
