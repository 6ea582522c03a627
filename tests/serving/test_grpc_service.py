"""What TF Serving answers over gRPC, to its own client."""

import socket

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from tflm.serving.grpc_service import ModelService, PredictionService, grpc_server

WAIT = 20


@pytest.fixture(scope="module")
def channel(server):
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        yield channel


@pytest.fixture(scope="module")
def prediction(channel):
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture(scope="module")
def models(channel):
    return model_service_pb2_grpc.ModelServiceStub(channel)


def asked(signature="", name="kinds", request=None, **inputs):
    request = request or predict_pb2.PredictRequest()
    request.model_spec.name = name
    request.model_spec.signature_name = signature
    for alias, value in inputs.items():
        proto = value if isinstance(value, tensor_pb2.TensorProto) else tf.make_tensor_proto(value)
        request.inputs[alias].CopyFrom(proto)
    return request


def refused(call, request, **options):
    with pytest.raises(grpc.RpcError) as raised:
        call(request, **{"timeout": WAIT, **options})
    return raised.value.code().name, raised.value.details()


def test_arrays_are_answered_by_arrays(prediction):
    response = prediction.Predict(asked(text=["abc", "你好é"]), timeout=WAIT)
    spec = response.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("kinds", 123, "serving_default")
    assert response.outputs["text"].string_val[:] == [b"ABC", "你好é".encode()]
    halves = asked("half", x=np.array([1.5, float("nan")], "float32"))
    found = tf.make_ndarray(prediction.Predict(halves, timeout=WAIT).outputs["y"])
    assert found.dtype == tf.bfloat16.as_numpy_dtype and found[0] == 1.5 and np.isnan(found[1])


def test_a_version_or_a_label_may_be_asked(prediction):
    request = asked(name="版本", text=["a"])
    for field, value, version in (("version", 1, 1), ("version_label", "稳定", 2)):
        if field == "version":
            request.model_spec.version.value = value
        else:
            request.model_spec.version_label = value
        assert prediction.Predict(request, timeout=WAIT).model_spec.version.value == version


def test_a_part_of_the_outputs_may_be_asked(prediction):
    request = asked("pair", a=["x"], b=[[1.0, 2.5]])
    request.output_filter.append("sum")
    outputs = prediction.Predict(request, timeout=WAIT).outputs
    assert outputs.keys() == {"sum"} and outputs["sum"].float_val[:] == [3.5]


def test_an_input_with_a_default_may_be_left_out(prediction):
    found = prediction.Predict(asked("default", x=[1.0, 2.0]), timeout=WAIT)
    assert found.outputs["sum"].float_val[:] == [8.0, 9.0]


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        (
            asked(name="m", text=["a"]),
            "NOT_FOUND",
            "Servable not found for request: Latest(m)",
        ),
        (asked(name="", text=["a"]), "INVALID_ARGUMENT", "ModelSpec has no name specified."),
        (asked("x", text=["a"]), "FAILED_PRECONDITION", 'Serving signature key "x" not found.'),
        (
            asked(),
            "INVALID_ARGUMENT",
            "input size does not match signature: 0!=1 len({}) != len({text}). Sent extra: {}. "
            "Missing but required: {text}.",
        ),
        (
            asked("default", 词=[1.0]),
            "INVALID_ARGUMENT",
            "Signature input alias: x(feed name: default_x:0) not found in request and no default "
            "value provided. Inputs expected to be in the request {词}, or default input alias "
            "set: y",
        ),
        (
            asked("default", x=[1.0], 词=[1.0]),
            "INVALID_ARGUMENT",
            "Inputs contains invalid name. Used request inputs: x, request input: x,词",
        ),
        (
            asked(text=tensor_pb2.TensorProto(dtype=7, tensor_content=b"a")),
            "INVALID_ARGUMENT",
            "tensor parsing error: text",
        ),
        (
            asked(text=[1.5]),
            "INVALID_ARGUMENT",
            "Expects arg[0] to be string but float is provided",
        ),
        (
            asked(request=predict_pb2.PredictRequest(output_filter=["a"]), text=["a"]),
            "INVALID_ARGUMENT",
            "output tensor alias not found in signature: a Outputs expected to be in the set "
            "{text}.",
        ),
        (
            asked(request=predict_pb2.PredictRequest(output_filter=["text"] * 2), text=["a"]),
            "INVALID_ARGUMENT",
            "duplicate output tensor alias: text",
        ),
    ],
)
def test_a_bad_request_is_told_what_is_bad(prediction, request_, code, message):
    assert refused(prediction.Predict, request_) == (code, message)


def test_a_long_message_is_cut(prediction):
    # By bytes: what is longer than 8 KiB as gRPC sends it, three bytes for one of Chinese, may be
    # refused on the way, one time or another.
    for name, character in (("长" * 2000, "长"), ("é" * 2000, "é")):
        code, message = refused(prediction.Predict, asked(name, text=["a"]))
        assert code == "FAILED_PRECONDITION"
        assert message.endswith(f"{character}...TRUNCATED")
        size = len(message.removesuffix("...TRUNCATED").encode())
        assert 1024 - len(character.encode()) < size <= 1024


def test_the_clients_deadline_ends_a_run(prediction):
    code, _ = refused(prediction.Predict, asked("count", n=[2_000_000_000]), timeout=0.5)
    assert code == "DEADLINE_EXCEEDED"


def test_a_request_that_is_too_large_is_refused(prediction):
    code, _ = refused(prediction.Predict, asked(text=["a" * 200_000]))
    assert code == "RESOURCE_EXHAUSTED"
    assert prediction.Predict(asked(text=["a"]), timeout=WAIT).outputs


def test_the_metadata_are_the_signatures(prediction):
    request = get_model_metadata_pb2.GetModelMetadataRequest()
    call = prediction.GetModelMetadata
    assert refused(call, request) == ("INVALID_ARGUMENT", "Missing ModelSpec")
    request.model_spec.name = "kinds"
    assert refused(call, request) == (
        "INVALID_ARGUMENT",
        "GetModelMetadataRequest must specify at least one metadata_field",
    )
    request.metadata_field[:] = ["x"]
    assert refused(call, request) == ("INVALID_ARGUMENT", "Metadata field x is not supported")
    request.metadata_field[:] = ["signature_def"]
    response = call(request, timeout=WAIT)
    found = get_model_metadata_pb2.SignatureDefMap()
    assert response.model_spec.version.value == 123
    assert response.metadata["signature_def"].Unpack(found)
    assert {"serving_default", "pair", "__saved_model_init_op"} <= found.signature_def.keys()
    request.model_spec.name = "m"
    assert refused(call, request)[0] == "NOT_FOUND"


def example(request, signature):
    request.model_spec.name = "kinds"
    request.model_spec.signature_name = signature
    features = request.input.example_list.examples.add().features
    features.feature["词"].bytes_list.value.append("好".encode())
    return request


def test_examples_are_classified_and_regressed(prediction):
    request = example(classification_pb2.ClassificationRequest(), "classify")
    size = float(request.input.example_list.examples[0].ByteSize())
    response = prediction.Classify(request, timeout=WAIT)
    (found,) = response.result.classifications
    assert [(each.label, each.score) for each in found.classes] == [("好", size), ("bad", -size)]
    assert response.model_spec.signature_name == "classify"
    response = prediction.Regress(
        example(regression_pb2.RegressionRequest(), "regress"), timeout=WAIT
    )
    assert [each.value for each in response.result.regressions] == [size]
    code, message = refused(
        prediction.Classify, example(classification_pb2.ClassificationRequest(), "pair")
    )
    assert (code, message) == ("INVALID_ARGUMENT", "Expected one input Tensor.")


def tasks(*pairs, name="kinds"):
    request = inference_pb2.MultiInferenceRequest()
    request.input.example_list.examples.add()
    for method, signature in pairs:
        task = request.tasks.add(method_name=f"tensorflow/serving/{method}")
        task.model_spec.name, task.model_spec.signature_name = name, signature
    return request


def test_several_signatures_answer_about_the_same_examples(prediction):
    request = tasks(("classify", "classify"), ("regress", "regress"))
    first, second = prediction.MultiInference(request, timeout=WAIT).results
    assert first.classification_result.classifications[0].classes[0].label == "好"
    assert second.regression_result.regressions[0].value == 0.0
    assert second.model_spec.version.value == 123


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        (tasks(), "INVALID_ARGUMENT", "Inference request must have at least one task"),
        (
            tasks(("classify", "a"), name=""),
            "INVALID_ARGUMENT",
            "Found ModelSpec with an empty model name.",
        ),
        (
            tasks(("classify", "x")),
            "INVALID_ARGUMENT",
            "Requested signature not found in model graph: x",
        ),
        (
            tasks(("regress", "regress"), ("regress", "regress")),
            "INVALID_ARGUMENT",
            "Duplicate evaluation of signature: regress",
        ),
        (
            tasks(("predict", "pair")),
            "UNIMPLEMENTED",
            "Unsupported signature method_name: tensorflow/serving/predict",
        ),
    ],
)
def test_tasks_that_do_not_go_together_are_refused(prediction, request_, code, message):
    assert refused(prediction.MultiInference, request_) == (code, message)


def test_tasks_are_of_one_model(prediction):
    request = tasks(("regress", "regress"), ("classify", "classify"))
    request.tasks[1].model_spec.name = "版本"
    assert refused(prediction.MultiInference, request) == (
        "INVALID_ARGUMENT",
        "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
    )


def test_the_status_lists_the_versions(models):
    request = get_model_status_pb2.GetModelStatusRequest()
    assert refused(models.GetModelStatus, request) == ("INVALID_ARGUMENT", "Missing ModelSpec")
    request.model_spec.name = "版本"
    found = models.GetModelStatus(request, timeout=WAIT).model_version_status
    assert [(each.version, each.State.Name(each.state)) for each in found] == [
        (11, "AVAILABLE"),
        (2, "AVAILABLE"),
        (1, "AVAILABLE"),
    ]
    request.model_spec.name = "m"
    assert refused(models.GetModelStatus, request) == (
        "NOT_FOUND",
        "Could not find any versions of model m",
    )


def reload(**fields):
    request = model_management_pb2.ReloadConfigRequest()
    if fields:
        request.config.model_config_list.config.add(model_platform="tensorflow", **fields)
    return request


@pytest.mark.parametrize("path", ["/etc", "/", "../..", "MODELS/../..", "MODELS/kinds/../../.."])
def test_a_client_cannot_leave_the_directory_of_models(models, saved_models, path):
    request = reload(name="escaped", base_path=path.replace("MODELS", str(saved_models)))
    code, message = refused(models.HandleReloadConfigRequest, request)
    assert code == "INVALID_ARGUMENT" and message.startswith("`base_path` must be ")
    assert refused(models.HandleReloadConfigRequest, reload())[0] == "INVALID_ARGUMENT"


def test_a_port_that_is_taken_is_told():
    services = PredictionService(None), ModelService(None, None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = taken.getsockname()
        with pytest.raises(OSError, match=f"The gRPC address 127.0.0.1:{address[1]} cannot be"):
            grpc_server(address, services, threads=1, max_bytes=100)
