"""TF Serving's messages, made here so that neither a client nor an export needs its package."""

import functools
from typing import Any

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory

SIGNATURES = "signature_def"  # the one field of a model's metadata


@functools.cache
def predict_messages() -> tuple[Any, Any]:
    """The classes of `PredictRequest` and `PredictResponse`, as far as a text model needs them.

    They are TF Serving's messages on the wire (`apis/predict.proto`, `apis/model.proto`), with each
    tensor as the bytes of its TensorProto: the wire makes no difference between a message and
    bytes. They are in a pool of their own, so the package `tensorflow-serving-api` may be imported
    in the same process.
    """
    return _message_class("PredictRequest"), _message_class("PredictResponse")


@functools.cache
def metadata_messages() -> tuple[Any, Any]:
    """The classes of `GetModelMetadataRequest` and `GetModelMetadataResponse`.

    They are those of `apis/get_model_metadata.proto`, with each `Any` as its bytes.
    """
    return _message_class("GetModelMetadataRequest"), _message_class("GetModelMetadataResponse")


@functools.cache
def prediction_log() -> Any:
    """The class of `PredictionLog` (`apis/prediction_log.proto`), of requests to predict alone."""
    return _message_class("PredictionLog")


def signatures_of(response: Any) -> dict[str, bytes]:
    """What a `GetModelMetadataResponse` says: the bytes of each SignatureDef, by its name."""
    holder = any_pb2.Any.FromString(response.metadata[SIGNATURES])
    return dict(_message_class("SignatureDefMap").FromString(holder.value).signature_def)


@functools.cache
def _pool() -> Any:
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
    spec = ("message", "ModelSpec")
    _bytes_by_name(_message(file, "PredictRequest", ("model_spec", 1, *spec)), "inputs", 2)
    _bytes_by_name(_message(file, "PredictResponse", ("model_spec", 2, *spec)), "outputs", 1)
    asked = _message(file, "GetModelMetadataRequest", ("model_spec", 1, *spec))
    fields = _field(asked, "metadata_field", 2, "string")
    fields.label = fields.LABEL_REPEATED
    answer = _message(file, "GetModelMetadataResponse", ("model_spec", 1, *spec))
    _bytes_by_name(answer, "metadata", 2)
    _bytes_by_name(_message(file, "SignatureDefMap"), SIGNATURES, 1)
    _message(
        file,
        "PredictLog",
        ("request", 1, "message", "PredictRequest"),
        ("response", 2, "message", "PredictResponse"),
    )
    _message(file, "PredictionLog", ("predict_log", 6, "message", "PredictLog"))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool


@functools.cache
def _message_class(name: str) -> Any:
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"tflm.serving.{name}"))


def _message(file: Any, name: str, *fields: tuple[str, int, str, str]) -> Any:
    message = file.message_type.add(name=name)
    for field in fields:
        _field(message, *field)
    return message


def _bytes_by_name(message: Any, name: str, number: int) -> None:
    """A field that maps strings to bytes."""
    entry = message.nested_type.add(name="".join(map(str.capitalize, f"{name}_entry".split("_"))))
    entry.options.map_entry = True
    _field(entry, "key", 1, "string")
    _field(entry, "value", 2, "bytes")
    repeated = _field(message, name, number, "message", f"{message.name}.{entry.name}")
    repeated.label = repeated.LABEL_REPEATED


def _field(message: Any, name: str, number: int, kind: str, type_name: str = "") -> Any:
    kinds = descriptor_pb2.FieldDescriptorProto
    field = message.field.add(name=name, number=number, label=kinds.LABEL_OPTIONAL)
    field.type = getattr(kinds, f"TYPE_{kind.upper()}")
    if type_name:
        field.type_name = f".tflm.serving.{type_name}"
    return field
