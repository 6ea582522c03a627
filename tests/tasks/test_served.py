import http.server
import json
import re
import sys
import threading
import urllib.parse
from concurrent import futures

import pytest
import tensorflow as tf

from tflm.tasks.predictor import open_predictor, run_languages
from tflm.tasks.served import is_address, open_served, predict_messages

TEXTS = ["hello", "", "北京 “引号” \\ \n"] * 25  # more than are sent at once


def answer(text):
    return {"text": text[::-1], "score": -0.5 * len(text), "truncated": len(text) > 5}


class FakeServing(http.server.BaseHTTPRequestHandler):
    """As TF Serving answers; the model's name says how it behaves."""

    paths = []

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name, _, method = self.path.rpartition("/")[2].partition(":")
        self.paths.append(self.path)
        rows = body.get("instances")
        texts = [row["text"] for row in rows] if rows is not None else body["inputs"]["text"]
        answers = [answer(text) for text in texts]
        columns = {key: [row[key] for row in answers] for key in ("text", "score", "truncated")}
        status, value = 200, {"predictions": answers} if rows else {"outputs": columns}
        if method != "predict" or name == "gone":
            status, value = 404, {"error": f"Servable not found for request: Latest({name})"}
        elif name == "scalar" and rows is not None:
            status, value = 400, {"error": "Tensor name: n has no shape information "}
        elif name == "scalar":
            value = {"outputs": {**columns, "n": 3}}
        elif name == "single":
            value = {"predictions": [row["text"] for row in answers]}
        elif name == "bad":
            status, value = 400, {"error": "Missing named input: text"}
        elif name == "short":
            value = {"predictions": answers[1:]}
        elif name == "other":
            value = {"hello": 1}
        content = b"<html>" if name == "html" else json.dumps(value).encode()
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
def grpc_address():
    """A server of PredictionService whose tensors are real TensorProtos."""
    grpc = pytest.importorskip("grpc", reason="no grpcio here to serve with")
    request_class, response_class = predict_messages()

    def predict(request, context):
        spec = request.model_spec
        if spec.name == "gone":
            context.abort(grpc.StatusCode.NOT_FOUND, "Servable not found for request: Latest(gone)")
        tensor_class = type(tf.make_tensor_proto(0))
        tensor = tf.make_ndarray(tensor_class.FromString(request.inputs["text"]))
        answers = [answer(text.decode()) for text in tensor.tolist()]
        if spec.version.value or spec.version_label:
            answers = [
                {**row, "text": f"{spec.version.value}{spec.version_label}"} for row in answers
            ]
        response = response_class()
        for name, kind in (("text", tf.string), ("score", tf.float32), ("truncated", tf.bool)):
            column = tf.make_tensor_proto([row[name] for row in answers], kind, [len(answers)])
            response.outputs[name] = column.SerializeToString()
        return response

    handler = grpc.method_handlers_generic_handler(
        "tensorflow.serving.PredictionService",
        {
            "Predict": grpc.unary_unary_rpc_method_handler(
                predict,
                request_deserializer=request_class.FromString,
                response_serializer=lambda response: response.SerializeToString(),
            )
        },
    )
    server = grpc.server(futures.ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"grpc://127.0.0.1:{port}"
    server.stop(None).wait()


@pytest.mark.parametrize("name", ["m", "m/versions/3", "m/labels/stable", "scalar"])
def test_a_rest_server_answers_in_rows_or_columns(rest, name):
    predict = open_served(f"{rest}/{name}")
    for _ in range(2):
        assert predict(TEXTS) == [answer(text) for text in TEXTS]
    assert predict([]) == []
    assert FakeServing.paths[-1] == f"{urllib.parse.urlsplit(rest).path}/{name}:predict"


def test_a_single_output_has_no_name_in_rows(rest):
    assert open_predictor(f"{rest}/single/")(["ab"]) == [{"text": "ba"}]


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("gone", OSError, r"the server refused. Received: 404 .*Servable not found.*from http"),
        ("bad", ValueError, "the server refused. Received: 400 .*Missing named input: text"),
        ("short", ValueError, "must answer each text. Received: 1 answers to 2 texts"),
        ("other", ValueError, "must answer with 'predictions'. Received: {'hello': 1} from"),
        ("html", ValueError, "the server must answer JSON. Received: none from http"),
    ],
)
def test_a_rest_server_that_fails_is_named(rest, name, error, message):
    with pytest.raises(error, match=message):
        open_served(f"{rest}/{name}")(["one", "two"])


def test_a_server_that_is_not_there_is_named():
    with pytest.raises(ConnectionError, match="`model` must be a server that answers. .* refused"):
        open_served("http://127.0.0.1:9/v1/models/m")(["text"])


def test_a_grpc_server_answers(grpc_address):
    predict = open_served(f"{grpc_address}/m")
    found = predict(TEXTS)
    assert found == [answer(text) for text in TEXTS]
    assert type(found[0]["truncated"]) is bool
    assert open_served(f"{grpc_address}/m/versions/12")(["a"])[0]["text"] == "12"
    assert open_served(f"{grpc_address}/m/labels/稳定")(["a"])[0]["text"] == "0稳定"


def test_a_grpc_server_that_fails_is_named(grpc_address):
    with pytest.raises(ConnectionError, match="Received: NOT_FOUND, Servable not found .*grpc://"):
        open_served(f"{grpc_address}/gone")(["text"])
    with pytest.raises(ConnectionError, match="Received: UNAVAILABLE, .*"):
        open_served("grpc://127.0.0.1:9/m")(["text"])


@pytest.mark.parametrize("address", ["http://h:1/m", "https://h/v1/models/", "http:///v1/models/m"])
def test_rest_addresses_of_another_form_are_refused(address):
    with pytest.raises(
        ValueError, match=f"`model` must be http://.* Received: {re.escape(address)}"
    ):
        open_served(address)


@pytest.mark.parametrize("address", ["grpc://h:1", "grpc://h:1/m/3", "grpc:///m"])
def test_grpc_addresses_of_another_form_are_refused(address):
    pytest.importorskip("grpc", reason="no grpcio here")
    with pytest.raises(
        ValueError, match=f"`model` must be grpc://.* Received: {re.escape(address)}"
    ):
        open_served(address)


def test_a_missing_grpcio_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "grpc", None)
    with pytest.raises(ImportError, match=r"needs grpcio.*: pip install 'tflm\[serving\]'"):
        open_served("grpc://localhost:8500/m")


def test_addresses_are_told_from_paths(tmp_path):
    assert is_address("grpc://localhost:8500/m") and is_address("https://h/v1/models/m")
    assert not is_address(tmp_path) and not is_address("runs/http")
    with pytest.raises(ValueError, match="`languages` must be given .* Received: http://h/v1"):
        run_languages("http://h/v1/models/m")
