import contextlib
import http.server
import json
import re
import sys
import threading
import time
import urllib.parse

import pytest
import tensorflow as tf

from tflm.export.serving_messages import predict_messages
from tflm.tasks import served
from tflm.tasks.input_rows import QUESTION
from tflm.tasks.served import is_address, open_served

TEXTS = ["hello", "", "北京 “引号” \\ \n"] * 25  # more than are sent at once


def answer(text):
    return {"text": text[::-1], "score": -0.5 * len(text), "truncated": len(text) > 5}


# What TF Serving says of the versions of models that cannot answer.
STATES = {
    "loading": [("3", "LOADING", "")],
    "broken": [("4", "END", "Op type not registered 'X'\n in binary"), ("2", "UNLOADING", "")],
}


class FakeServing(http.server.BaseHTTPRequestHandler):
    """As TF Serving answers; the model's name says how it behaves."""

    paths = []

    def do_GET(self):
        name = self.path.rpartition("/")[2]
        states = [
            {"version": version, "state": state, "status": {"error_code": "", "error_message": e}}
            for version, state, e in STATES.get(name, ())
        ]
        value = {"error": f"Could not find any versions of model {name}"}
        if states:
            value = {"model_version_status": states}
        self.reply(200 if states else 404, json.dumps(value).encode())

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name, _, method = self.path.rpartition("/")[2].partition(":")
        self.paths.append(self.path)
        assert method == "predict"
        rows = body.get("instances")
        if rows is None:
            names = body["inputs"]
            rows = [dict(zip(names, row, strict=True)) for row in zip(*names.values(), strict=True)]
        texts = ["|".join(row.values()) for row in rows]
        rows = body.get("instances")
        answers = [answer(text) for text in texts]
        columns = {key: [row[key] for row in answers] for key in ("text", "score", "truncated")}
        status, value = 200, {"predictions": answers} if rows else {"outputs": columns}
        if name in ("gone", *STATES):
            status, value = 404, {"error": f"Servable not found for request: Latest({name})"}
        elif name == "busy":
            status, value = 503, {"error": "The batch scheduling queue\nis full"}
        elif name == "scalar" and rows is not None:
            status, value = 400, {"error": "Tensor name: n has no shape information "}
        elif name == "scalar":
            value = {"outputs": {**columns, "n": 3}}
        elif name == "single":
            value = {"predictions": [row["text"] for row in answers]}
            if rows is None:
                value = {"outputs": columns["text"]}
        elif name == "bad":
            status, value = 400, {"error": "Missing named input: text in 'inputs' object."}
        elif name == "short":
            value = {"predictions": answers[1:]}
        elif name == "other":
            value = {"hello": 1}
        elif name == "null":
            value = {"predictions": None}
        elif name == "slow":
            time.sleep(0.5)
        elif body.get("signature_name") == "score":
            value = {"predictions": [{"log_probability": -0.5 * len(text)} for text in texts]}
        raw = {"html": b"<html>", "latin": b'{"predictions": ["\xff"]}'}.get(name)
        if name == "cut":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"{")
            return
        if name == "proxy":
            status, raw = 502, b"<h1>Bad\n Gateway</h1>"
        self.reply(status, raw or json.dumps(value).encode())

    def reply(self, status, content):
        self.send_response(status)
        self.end_headers()
        with contextlib.suppress(BrokenPipeError):  # who gave up waiting
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


REFUSALS = {
    "gone": "NOT_FOUND",
    "bad": "INVALID_ARGUMENT",
    "unknown signature": "FAILED_PRECONDITION",
    "full": "RESOURCE_EXHAUSTED",
}


@pytest.fixture(scope="module")
def grpc_address(serve_grpc):
    """A server of PredictionService whose tensors are real TensorProtos."""
    grpc = pytest.importorskip("grpc", reason="no grpcio here to serve with")
    request_class, response_class = predict_messages()

    def predict(request, context):
        spec = request.model_spec
        if spec.name in REFUSALS:
            context.abort(getattr(grpc.StatusCode, REFUSALS[spec.name]), "what went\n wrong")
        if spec.name == "slow":
            time.sleep(0.5)
        tensor_class = type(tf.make_tensor_proto(0))
        tensors = (
            tf.make_ndarray(tensor_class.FromString(request.inputs[name])).tolist()
            for name in sorted(request.inputs, reverse=True)
        )
        answers = [answer(b"|".join(row).decode()) for row in zip(*tensors, strict=True)]
        if spec.version.value or spec.version_label:
            answers = [
                {**row, "text": f"{spec.version.value}{spec.version_label}"} for row in answers
            ]
        response = response_class()
        response.outputs["n"] = tf.make_tensor_proto(3).SerializeToString()  # no batch dimension
        if spec.signature_name == "score":
            answers = [{**row, "score": 1.5} for row in answers]
        for name, kind in (("text", tf.string), ("score", tf.float32), ("truncated", tf.bool)):
            column = tf.make_tensor_proto([row[name] for row in answers], kind, [len(answers)])
            response.outputs[name] = column.SerializeToString()
        return response

    return serve_grpc("Predict", predict, request_class)


@pytest.mark.parametrize("name", ["m", "m/versions/3", "m/labels/stable", "scalar"])
def test_a_rest_server_answers_in_rows_or_columns(rest, name):
    predict = open_served(f"{rest}/{name}")
    for _ in range(2):
        assert predict(TEXTS) == [answer(text) for text in TEXTS]
    assert predict([]) == []
    assert FakeServing.paths[-1] == f"{urllib.parse.urlsplit(rest).path}/{name}:predict"


def test_a_single_output_has_no_name_in_rows_or_columns(rest):
    assert open_served(f"{rest}/single/")(["ab"]) == [{"text": "ba"}]
    assert served._columns(f"{rest}/single:predict", {"text": ["ab", "北京"]}, {}) == [
        {"text": "ba"},
        {"text": "京北"},
    ]


def test_a_model_of_two_inputs_is_given_both(rest, grpc_address):
    rows = [("谁？", "安娜 “跑”了"), ("Who?", "")] * 35  # more than are sent at once
    expected = [answer(f"{question}|{context}") for question, context in rows]
    for address in (f"{rest}/m", f"{rest}/scalar", f"{grpc_address}/m"):
        assert open_served(address, fields=QUESTION)(rows) == expected
    assert open_served(f"{grpc_address}/m", fields=QUESTION)([]) == []


def test_a_signature_may_be_asked_for(rest, grpc_address):
    assert open_served(f"{rest}/m", "score")(["ab"]) == [{"log_probability": -1.0}]
    assert open_served(f"{grpc_address}/m", "score")(["ab"])[0]["score"] == 1.5


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        (
            "gone",
            OSError,
            "that the server has loaded. Received: 404 Not Found, Servable not found",
        ),
        ("loading", OSError, r"Latest\(loading\) from .*, which has version 3 LOADING$"),
        (
            "broken",
            OSError,
            "which has version 4 END Op type not registered 'X' in binary; version 2 UNLOADING$",
        ),
        ("busy", OSError, "the server failed. Received: 503 .*, The batch .* queue is full from"),
        ("proxy", OSError, "the server failed. Received: 502 Bad Gateway, <h1>Bad Gateway</h1> fr"),
        ("bad", ValueError, "refused the request. Received: 400 .*, Missing named input: text in"),
        ("short", ValueError, "must answer each text. Received: 1 answers to 2 texts"),
        ("other", ValueError, "must answer with 'predictions'. Received: {'hello': 1} from"),
        ("null", ValueError, "must answer with 'predictions'. Received: {'predictions': None}"),
        ("html", ValueError, "the server must answer JSON. Received: none from http"),
        ("latin", ValueError, "the server must answer JSON. Received: none from http"),
        ("cut", ConnectionError, "`model` must be a server that answers. Received: Incomplete"),
        ("slow", ConnectionError, "a server that answers. Received: no answer in 0.2 seconds from"),
    ],
)
def test_a_rest_server_that_fails_is_named_in_a_line(rest, name, error, message, monkeypatch):
    monkeypatch.setattr(served, "_TIMEOUT", 0.2)
    with pytest.raises(error, match=message) as raised:
        open_served(f"{rest}/{name}")(["one", "two"])
    assert "\n" not in str(raised.value)


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


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("gone", OSError, "one that the server has loaded. Received: NOT_FOUND, what went wrong"),
        ("bad", ValueError, "refused the request. Received: INVALID_ARGUMENT, what went wrong"),
        ("unknown signature", ValueError, "refused the request. Received: FAILED_PRECONDITION"),
        ("full", OSError, "the server failed. Received: RESOURCE_EXHAUSTED, what went wrong from"),
        ("slow", ConnectionError, "a server that answers. Received: DEADLINE_EXCEEDED, .* grpc://"),
    ],
)
def test_a_grpc_server_that_fails_is_named_in_a_line(
    grpc_address, name, error, message, monkeypatch
):
    monkeypatch.setattr(served, "_TIMEOUT", 0.2)
    with pytest.raises(error, match=message) as raised:
        open_served(f"{grpc_address}/{name}")(["text"])
    assert "\n" not in str(raised.value)


def test_a_grpc_server_that_is_not_there_is_named():
    with pytest.raises(ConnectionError, match="Received: UNAVAILABLE, .*"):
        open_served("grpc://127.0.0.1:9/m")(["text"])


@pytest.mark.parametrize(
    "address",
    ["http://h:1/m", "https://h/v1/models/", "http:///v1/models/m", "http://h:x/v1/models/m"],
)
def test_rest_addresses_of_another_form_are_refused(address):
    with pytest.raises(
        ValueError, match=f"`model` must be http://.* Received: {re.escape(address)}"
    ):
        open_served(address)


@pytest.mark.parametrize(
    "address", ["grpc://h:1", "grpc://h:1/m/3", "grpc:///m", "grpc://h:99999/m"]
)
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


def test_a_model_may_have_a_chinese_name(rest):
    FakeServing.paths.clear()
    assert open_served(f"{rest}/翻译")(["ab"]) == [answer("ab")]
    assert FakeServing.paths == ["/v1/models/" + urllib.parse.quote("翻译") + ":predict"]
    FakeServing.paths.clear()
    open_served(f"{rest}/{urllib.parse.quote('翻译')}")(["ab"])  # as it is pasted from a browser
    assert FakeServing.paths == ["/v1/models/" + urllib.parse.quote("翻译") + ":predict"]


def test_the_address_of_a_request_is_no_models(rest):
    with pytest.raises(ValueError, match="`model` must be http://host:port/v1/models/NAME"):
        open_served(f"{rest}/m:predict")


def test_what_has_no_utf8_is_sent_as_a_saved_model_reads_it(rest, grpc_address):
    half = json.loads('"one \\ud83d"')
    assert open_served(f"{rest}/m")([half]) == [answer("one \ufffd")]
    assert open_served(f"{grpc_address}/m")([half])[0]["text"] == answer("one \ufffd")["text"]
