"""What a model's versions are at, in TF Serving's messages."""

from typing import Any

from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

from tflm.serving.manager import Manager
from tflm.serving.servable import Servable


def get_model_status(
    manager: Manager, name: str, version: int | None = None, label: str | None = None
) -> Any:
    """A `GetModelStatusResponse`: all versions, the newest first, or the one that is asked for.

    Raises:
        RequestError: there is no such model or version.
    """
    response = get_model_status_pb2.GetModelStatusResponse()
    for status in manager.statuses(name, version, label):
        found = response.model_version_status.add(version=status.version)
        found.state = get_model_status_pb2.ModelVersionStatus.State.Value(status.state)
        found.status.error_code = int(status.code)
        found.status.error_message = status.message
    return response


def get_model_metadata(servable: Servable) -> tuple[Any, Any]:
    """A `GetModelMetadataResponse`, and the `SignatureDefMap` that belongs into it."""
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    response.model_spec.name = servable.name
    response.model_spec.version.value = servable.version
    signatures = get_model_metadata_pb2.SignatureDefMap()
    for name, signature in servable.signature_defs.items():
        signatures.signature_def[name].CopyFrom(signature)
    return response, signatures
