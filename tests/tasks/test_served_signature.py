import http.server
import json
import threading

import pytest
import tensorflow as tf

from tflm.export.serving_messages import metadata_messages
from tflm.tasks.predictor import open_predictor
from tflm.tasks.served_signature import ServedSignature, served_signature

READER = {"inputs": {"question": {}, "context": {}}, "outputs": {"answer": {}, "score": {}}}
EXPECTED = ServedSignature(("context", "question"), ("answer", "score"))


class FakeServing(http.server.BaseHTTPRequestHandler):
    """What TF Serving says of a model; the model's name says which."""

    paths = []

    def do_GET(self):
        self.paths.append(self.path)
        name = self.path.split("/")[3]
        status, value = 200, {"metadata": {"signature_def": {"signature_def": {}}}}
        if name == "reader":
            value["metadata"]["signature_def"]["signature_def"]["serving_default"] = READER
        elif name == "gone":
            status, value = 404, {"error": "Servable not found for request: Latest(gone)"}
        elif name == "bad":
            status, value = 400, {"error": "Malformed request: GET /v1/models/bad/metadata"}
        content = json.dumps(value).encode()
        self.send_response(status)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def rest():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), FakeServing)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1/models"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def grpc_address(serve_grpc):
    grpc = pytest.importorskip("grpc", reason="no grpcio here to serve with")
    request_class, response_class = metadata_messages()

    def metadata(request, context):
        if request.model_spec.name == "gone":
            context.abort(grpc.StatusCode.NOT_FOUND, "Servable not found")
        assert list(request.metadata_field) == ["signature_def"]
        definitions = tf.compat.v1.MetaGraphDef().signature_def
        names = ["serving_default", "score"] if request.model_spec.name == "reader" else ["score"]
        for name in names:
            for side in ("inputs", "outputs"):
                for key in READER[side]:
                    getattr(definitions[name], side)[key].dtype = tf.string.as_datatype_enum
        response = response_class()
        content = b"".join(
            field(1, field(1, name.encode()) + field(2, definitions[name].SerializeToString()))
            for name in names
        )
        response.metadata["signature_def"] = field(2, content)  # the value of an Any
        return response

    return serve_grpc("GetModelMetadata", metadata, request_class)


def field(number, content):
    """A field of bytes on the wire, of fewer than 2 ** 14."""
    size = len(content)
    sizes = [size] if size < 128 else [size % 128 + 128, size // 128]
    return bytes([number * 8 + 2, *sizes]) + content


@pytest.mark.parametrize("name", ["reader", "reader/versions/3", "reader/labels/stable"])
def test_a_server_says_what_a_model_takes_over_rest(rest, name):
    assert served_signature(f"{rest}/{name}/") == EXPECTED
    assert FakeServing.paths[-1].endswith(f"/v1/models/{name}/metadata")
    assert open_predictor(f"{rest}/{name}").fields == ("question", "context")


def test_a_server_says_what_a_model_takes_over_grpc(grpc_address):
    assert served_signature(f"{grpc_address}/reader/versions/3") == EXPECTED
    assert open_predictor(f"{grpc_address}/reader").fields == ("question", "context")


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        (
            "gone",
            OSError,
            "that the server has loaded. Received: 404 Not Found, Servable not found",
        ),
        ("bad", ValueError, "the server refused the request. Received: 400 .*, Malformed request"),
        ("other", ValueError, "must say what the model's serving_default takes. Received: {'meta"),
    ],
)
def test_a_rest_server_that_does_not_say_is_named(rest, name, error, message):
    with pytest.raises(error, match=message):
        served_signature(f"{rest}/{name}")


def test_a_grpc_server_that_does_not_say_is_named(grpc_address):
    with pytest.raises(OSError, match="that the server has loaded. Received: NOT_FOUND, Servable"):
        served_signature(f"{grpc_address}/gone")
    with pytest.raises(ValueError, match="model's serving_default takes. Received: score from gr"):
        served_signature(f"{grpc_address}/lines")


def test_an_address_of_another_form_is_refused():
    with pytest.raises(ValueError, match="`model` must be http://host:port/v1/models/NAME"):
        served_signature("http://h/m")
