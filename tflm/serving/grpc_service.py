"""TF Serving's gRPC services: PredictionService and ModelService."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent import futures
from typing import Any

import grpc
import numpy as np
from tensorflow_serving.apis import (
    classification_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from tflm.serving.examples import classify, multi_inference, regress
from tflm.serving.manager import Manager
from tflm.serving.model_config import ModelConfig, models_of
from tflm.serving.model_status import get_model_metadata, get_model_status
from tflm.serving.predictor import Predictor, Target
from tflm.serving.servable import Servable
from tflm.serving.status import Code, RequestError, invalid
from tflm.serving.tensors import to_array, to_proto

_LONGEST = 1024  # bytes of a message (`grpc_status_util.cc`)
_LARGEST = 2**31 - 1
_FIELD = "signature_def"
_CODES = {code.value[0]: code for code in grpc.StatusCode}


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict, Classify, Regress, MultiInference and GetModelMetadata.

    Args:
        predictor: answers what models are asked.
    """

    def __init__(self, predictor: Predictor):
        self._predictor = predictor

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Arrays for arrays."""
        response = predict_pb2.PredictResponse()
        with self._asked(request.model_spec, "Predict", context) as (servable, target):
            name = target.signature_name
            signature = servable.signature(name)
            if signature is None:
                raise RequestError(
                    Code.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.'
                )
            inputs = input_arrays(signature, request.inputs)
            wanted = output_names(signature, request.output_filter)
            outputs = self._predictor.run(
                servable, name, inputs, wanted, timeout_ms=_timeout_ms(context)
            )
            _name(response, servable, target)
            for alias, array in outputs.items():
                proto = to_proto(array, signature.outputs[alias].dtype)
                response.outputs[alias].CopyFrom(proto)
        return response

    def Classify(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Labels for examples."""
        response = classification_pb2.ClassificationResponse()
        with self._asked(request.model_spec, "Classify", context) as (servable, target):
            timeout_ms = _timeout_ms(context)
            found = classify(self._predictor, servable, target, request.input, timeout_ms)
            response.result.CopyFrom(found)
            _name(response, servable, target)
        return response

    def Regress(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Numbers for examples."""
        response = regression_pb2.RegressionResponse()
        with self._asked(request.model_spec, "Regress", context) as (servable, target):
            timeout_ms = _timeout_ms(context)
            found = regress(self._predictor, servable, target, request.input, timeout_ms)
            response.result.CopyFrom(found)
            _name(response, servable, target)
        return response

    def MultiInference(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Several signatures on the same examples."""
        with _told(context):
            if not request.tasks:
                raise invalid("Inference request must have at least one task")
            if not request.tasks[0].model_spec.name:
                raise invalid("Found ModelSpec with an empty model name.")
        with self._asked(request.tasks[0].model_spec, "MultiInference", context) as (servable, _):
            return multi_inference(self._predictor, servable, request, _timeout_ms(context))

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:
        """The signatures of a model."""
        with _told(context):
            if not request.HasField("model_spec"):
                raise invalid("Missing ModelSpec")
            if not request.metadata_field:
                raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
            for field in request.metadata_field:
                if field != _FIELD:
                    raise invalid(f"Metadata field {field} is not supported")
            with self._predictor.lease(_target(request.model_spec)) as servable:
                response, signatures = get_model_metadata(servable)
        response.metadata[_FIELD].Pack(signatures)
        return response

    @contextlib.contextmanager
    def _asked(
        self, spec: Any, api: str, context: grpc.ServicerContext
    ) -> Iterator[tuple[Servable, Target]]:
        """The version that a request asks for; the request is counted, and its failure told."""
        target = _target(spec)
        with (
            _told(context),
            self._predictor.counted(target.name, api, "GRPC"),
            self._predictor.lease(target) as servable,
        ):
            yield servable, target


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """GetModelStatus and HandleReloadConfigRequest.

    Args:
        manager: holds the models.
        allow: raises ValueError for a model that may not be served.
    """

    def __init__(self, manager: Manager, allow: Callable[[ModelConfig], None]):
        self._manager = manager
        self._allow = allow

    def GetModelStatus(self, request: Any, context: grpc.ServicerContext) -> Any:
        """What the versions of a model are at."""
        with _told(context):
            if not request.HasField("model_spec"):
                raise invalid("Missing ModelSpec")
            target = _target(request.model_spec)
            return get_model_status(self._manager, target.name, target.version, target.label)

    def HandleReloadConfigRequest(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Serves other models, of the directories that were named at the start."""
        with _told(context):
            try:
                models = models_of(request.config)
                for model in models:
                    self._allow(model)
            except ValueError as error:
                raise invalid(str(error)) from error
            self._manager.configure(models)
        return model_management_pb2.ReloadConfigResponse()


def grpc_server(
    address: tuple[str, int],
    services: tuple[PredictionService, ModelService],
    *,
    threads: int,
    max_bytes: int,
) -> tuple[Any, int]:
    """A server that is yet to start, and the port on which it listens.

    Args:
        address: host and port; port 0 for a free one.
        services: what it offers.
        threads: requests that it answers at the same time.
        max_bytes: a request that is larger is refused with RESOURCE_EXHAUSTED.

    Raises:
        OSError: the address is taken.
    """
    options = [
        ("grpc.max_receive_message_length", max_bytes),
        ("grpc.max_send_message_length", _LARGEST),
        ("grpc.so_reuseport", 0),
    ]
    pool = futures.ThreadPoolExecutor(threads, thread_name_prefix="grpc")
    server = grpc.server(pool, options=options)
    prediction, model = services
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(prediction, server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(model, server)
    host, port = address
    try:
        return server, server.add_insecure_port(f"{host}:{port}")
    except RuntimeError as error:
        raise OSError(f"The gRPC address {host}:{port} cannot be listened on.") from error


def input_arrays(signature: Any, given: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The arrays of a request, its missing ones from the signature's defaults.

    Raises:
        RequestError: they are not those of the signature.
    """
    names, defaults = set(signature.inputs), signature.defaults
    if len(given) > len(names) or (len(given) < len(names) and not defaults):
        raise invalid(
            f"input size does not match signature: {len(given)}!={len(names)} "
            f"len({_set(given)}) != len({_set(names)}). Sent extra: {_set(given.keys() - names)}. "
            f"Missing but required: {_set(names - given.keys())}."
        )
    found = {}
    for alias in sorted(names):
        proto = given.get(alias) or defaults.get(alias)
        if proto is None:
            raise invalid(
                f"Signature input alias: {alias}(feed name: {signature.inputs[alias].name}) not "
                "found in request and no default value provided. Inputs expected to be in the "
                f"request {_set(given)}, or default input alias set: {','.join(sorted(defaults))}"
            )
        found[alias] = to_array(proto, alias)
    if given.keys() - names:
        raise invalid(
            f"Inputs contains invalid name. Used request inputs: "
            f"{','.join(sorted(given.keys() & names))}, request input: {','.join(sorted(given))}"
        )
    return found


def output_names(signature: Any, wanted: Sequence[str]) -> list[str]:
    """The outputs that a request wants; none where it wants all.

    Raises:
        RequestError: there is no such output, or one is wanted twice.
    """
    seen = []
    for alias in wanted:
        if alias not in signature.outputs:
            raise invalid(
                f"output tensor alias not found in signature: {alias} Outputs expected to be in "
                f"the set {_set(signature.outputs)}."
            )
        if alias in seen:
            raise invalid(f"duplicate output tensor alias: {alias}")
        seen.append(alias)
    return seen


@contextlib.contextmanager
def _told(context: grpc.ServicerContext) -> Iterator[None]:
    """Tells the client of a failure inside."""
    try:
        yield
    except RequestError as error:
        content = error.message.encode("utf-8", "replace")
        message = content[:_LONGEST].decode("utf-8", "ignore")  # of a character cut in two, nothing
        if len(content) > _LONGEST:
            message += "...TRUNCATED"
        context.abort(_CODES[int(error.code)], message)


def _target(spec: Any) -> Target:
    choice = spec.WhichOneof("version_choice")
    version = spec.version.value if choice == "version" else None
    label = spec.version_label if choice == "version_label" else None
    return Target(spec.name, version, label, spec.signature_name)


def _name(response: Any, servable: Servable, target: Target) -> None:
    response.model_spec.name = servable.name
    response.model_spec.version.value = servable.version
    response.model_spec.signature_name = target.signature_name


def _timeout_ms(context: grpc.ServicerContext) -> int:
    """Milliseconds that the client still waits; 0 where it says nothing of that."""
    seconds = context.time_remaining()
    if seconds is None or seconds > _LARGEST / 1e3:
        return 0
    return max(1, int(seconds * 1e3))


def _set(names: Any) -> str:
    return f"{{{','.join(sorted(names))}}}"
