"""What TF Serving answers over REST: routes, statuses, messages and the shapes of its JSON."""

import base64
import json
import math

import numpy as np
import pytest
import tensorflow as tf

KINDS = "/v1/models/kinds"
PREDICT = f"{KINDS}:predict"
VERSIONS = "/v1/models/%E7%89%88%E6%9C%AC"  # 版本
FAILED = "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: "


def body(signature="serving_default", **content):
    return json.dumps({"signature_name": signature, **content}, ensure_ascii=False)


# Routes.


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/foo"),
        ("PUT", KINDS),
        ("DELETE", KINDS),
        ("GET", PREDICT),
        ("POST", KINDS),
        ("POST", f"{KINDS}/metadata"),
        ("POST", f"{KINDS}/versions/one:predict"),
        ("GET", f"{KINDS}/versions/-1"),
        ("POST", f"{KINDS}:explain"),
        ("POST", "/v1/models/:predict"),
        ("POST", "/v1/models/../kinds:predict"),
        ("GET", f"{KINDS}/versions/1/labels/x"),
    ],
)
def test_what_is_no_request_is_malformed(server, method, path):
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", server.rest_port, timeout=20)
    connection.request(method, path)
    answer = connection.getresponse()
    assert answer.status == 400
    assert json.loads(answer.read()) == {"error": f"Malformed request: {method} {path}"}
    connection.close()


@pytest.mark.parametrize("path", ["/", "/v2/models/kinds", "/v1", "/favicon.ico", "/monitoring"])
def test_another_path_is_not_found(server, session, path):
    answer = session.get(f"http://127.0.0.1:{server.rest_port}{path}")
    assert answer.status_code == 404 and answer.headers["Content-Type"] == "text/plain"


def test_routes_do_not_mind_capital_letters(ask):
    assert ask("/V1/MODELS/kinds:PREDICT", body(instances=["a"]))[0] == 200
    assert ask("/V1/Models/kinds/METADATA")[0] == 200
    assert ask("/v1/models/KINDS")[0] == 404  # a name does


def test_a_name_a_version_or_a_label_chooses(ask):
    asked = body(instances=["é"])
    for path in (VERSIONS, f"{VERSIONS}/versions/1", f"{VERSIONS}/labels/%E7%A8%B3%E5%AE%9A"):
        assert ask(f"{path}:predict", asked) == (200, {"predictions": ["é"]})


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/v1/models/m:predict", 404, "Servable not found for request: Latest(m)"),
        (
            f"{KINDS}/versions/99:predict",
            404,
            "Servable not found for request: Specific(kinds, 99)",
        ),
        (f"{KINDS}/labels/L:predict", 400, "Unrecognized servable version label: L"),
        (
            f"{KINDS}/versions/9223372036854775808:predict",
            400,
            "Failed to convert version: 9223372036854775808 to numeric.",
        ),
        ("/v1/models/..%2Fkinds:predict", 404, "Servable not found for request: Latest(../kinds)"),
        (
            "/v1/models/%2Fetc%2Fpasswd%00:predict",
            404,
            "Servable not found for request: Latest(/etc/passwd\0)",
        ),
        ("/v1/models/模型:predict", 404, "Servable not found for request: Latest(模型)"),
    ],
)
def test_a_model_that_is_not_there_cannot_predict(ask, path, status, message):
    assert ask(path, body(instances=["a"])) == (status, {"error": message})


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/v1/models", 400, "Missing model name in request."),
        ("/v1/models/m", 404, "Could not find any versions of model m"),
        (f"{KINDS}/versions/9", 404, "Could not find version 9 of model kinds"),
        (f"{KINDS}/labels/L", 400, "Unrecognized servable version label: L"),
        ("/v1/models/m/metadata", 404, "Servable not found for request: Latest(m)"),
        (
            f"{KINDS}/versions/99999999999999999999",
            400,
            "Failed to convert version: 99999999999999999999 to numeric.",
        ),
    ],
)
def test_a_model_that_is_not_there_has_no_status(ask, path, status, message):
    assert ask(path) == (status, {"error": message})


# Requests to predict that cannot be answered.

BAD_REQUESTS = [
    ("", "JSON Parse error: The document is empty"),
    ("instances = [1]", "JSON Parse error: Invalid value. at offset: 0"),
    ("[1]", "JSON Value: [\n    1\n] Is not object"),
    ("7", "JSON Value: 7 Is not object"),
    (
        '{"signature_name": 5}',
        'JSON Value: {\n    "signature_name": 5\n} not formatted correctly. '
        "'signature_name' key must be a string value.",
    ),
    (body("x", instances=["a"]), 'Serving signature name: "x" not found in signature def'),
    (
        body("__saved_model_init_op", instances=["a"]),
        "Failed to get input map for signature: __saved_model_init_op",
    ),
    ("{}", "Missing 'inputs' or 'instances' key"),
    (
        '{"inputs": 1, "instances": 2}',
        'JSON Value: {\n    "inputs": 1,\n    "instances": 2\n} Not formatted correctly expecting '
        "only one of 'inputs' or 'instances' keys to exist ",
    ),
    (
        '{"instances": "a"}',
        'JSON Value: {\n    "instances": "a"\n} Expecting \'instances\' to be an list/array',
    ),
    (
        '{"instances": []}',
        "JSON Value: {\n    \"instances\": []\n} No values in 'instances' array",
    ),
    (
        body("pair", instances=["a"]),
        "instances is a plain list, but expecting list of objects as multiple input tensors "
        "required as per tensorinfo_map",
    ),
    (
        body("pair", inputs=["a"]),
        "inputs is a plain value/list, but expecting an object as multiple input tensors required "
        "as per tensorinfo_map",
    ),
    (
        body(instances=[1]),
        f"{FAILED}JSON Value: 1 Type: Number is not of expected type: string",
    ),
    (
        body("doubles", instances=[[1, 2], [3]]),
        "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: Expecting "
        "tensor size: 2 but got: 1",
    ),
    (
        body("pair", instances=[{"a": "a", "b": [1.0, 2.0], "foo": 1}]),
        "Failed to process element: 0 key: foo of 'instances' list. Error: INVALID_ARGUMENT: JSON "
        "object: does not have named input: foo",
    ),
    (
        body("pair", instances=[{"a": "a"}]),
        'Failed to process element: 0 of \'instances\' list. JSON object: {\n    "a": "a"\n} keys '
        "must be equal to: a,b",
    ),
    (body("pair", inputs={"b": [[1, 2]]}), "Missing named input: a in 'inputs' object."),
    (body(instances=[{"b64": "a%b"}]), f"{FAILED}Unable to base64 decode"),
    (
        body(inputs={"text": [{"b64": "YQ==", "c": 1}]}),
        'JSON Value: {\n    "b64": "YQ==",\n    "c": 1\n} not formatted correctly for base64 data',
    ),
    (
        body("floats", instances=[{"b64": "YQ=="}]),
        f'{FAILED}JSON Value: {{\n    "b64": "YQ=="\n}} Type: Object is not of expected type: '
        "float",
    ),
    (
        body(instances=[{"text": "a"}, ["b"]]),
        "Expecting object but got list at item 1 of input list",
    ),
    (
        body(instances=["a", {"text": "b"}]),
        "Expecting value/list but got object at item 1 of input list",
    ),
    (body("total", instances=[1.5]), "Tensor name: total has no shape information "),
    (
        body("first", instances=[1.5, 2.5]),
        "Tensor name: y has inconsistent batch size: 1 expecting: 2",
    ),
    (body("half", instances=[1.5]), "Failed to write JSON value for tensor type: bfloat16"),
    (
        body("halves", instances=[1.5]),
        "Failed to process element: 0 of 'instances' list. Error: UNIMPLEMENTED: Conversion of "
        "JSON Value: 1.5 to type: half",
    ),
]


@pytest.mark.parametrize(("content", "message"), BAD_REQUESTS)
def test_a_bad_request_is_told_what_is_bad(ask, content, message):
    assert ask(PREDICT, content) == (400, {"error": message})


def test_json_comes_before_the_model_is_looked_for(ask):
    status, answer = ask("/v1/models/m:predict", "")
    assert (status, answer["error"]) == (400, "JSON Parse error: The document is empty")


def test_a_graph_that_fails_says_why(ask):
    status, answer = ask(PREDICT, body("checked", instances=["好", "坏"]))
    assert status == 400
    assert answer["error"].startswith("assertion failed: ")
    assert "Traceback" not in answer["error"] and "Graph execution error" not in answer["error"]


def test_a_request_that_takes_too_long_is_ended(ask):
    status, answer = ask(PREDICT, body("count", instances=[2_000_000_000]))
    assert status == 504 and answer["error"]


# Requests that are answered.


def test_rows_are_answered_by_rows(ask):
    assert ask(PREDICT, body(instances=["abc", "你好é", ""])) == (
        200,
        {"predictions": ["ABC", "你好é", ""]},
    )
    assert ask(PREDICT, body(instances=[{"text": "a"}, {"text": {"b64": "Yg=="}}])) == (
        200,
        {"predictions": ["A", "B"]},
    )
    rows = [{"a": "早", "b": [1, 2.5]}, {"a": "晚", "b": [0, 0]}]
    assert ask(PREDICT, body("pair", instances=rows)) == (
        200,
        {"predictions": [{"text": "早", "sum": 3.5}, {"text": "晚", "sum": 0.0}]},
    )


def test_columns_are_answered_by_columns(ask):
    assert ask(PREDICT, body(inputs=["abc", "你好"])) == (200, {"outputs": ["ABC", "你好"]})
    assert ask(PREDICT, body(inputs={"text": ["a"], "ignored": 1})) == (200, {"outputs": ["A"]})
    columns = {"a": ["早", "晚"], "b": [[1, 2.5], [0, 0]]}
    assert ask(PREDICT, body("pair", inputs=columns)) == (
        200,
        {"outputs": {"text": ["早", "晚"], "sum": [3.5, 0.0]}},
    )
    assert ask(PREDICT, body("total", inputs=[1.5, 2.5])) == (200, {"outputs": 4.0})
    assert ask(PREDICT, body(inputs=[])) == (200, {"outputs": []})


def test_text_goes_out_as_it_is(server, session):
    url = f"http://127.0.0.1:{server.rest_port}{PREDICT}"
    text = '你好 "\\/\t\x01é\U0001f600'
    raw = session.post(url, data=body(instances=[text]).encode()).content
    assert raw == ('{\n    "predictions": ["你好 \\"\\\\/\\t\\u0001é\U0001f600"\n    ]\n}'.encode())
    escaped = b'{"instances": ["\\u4f60\\ud83d\\ude00"]}'
    assert session.post(url, data=escaped).json() == {"predictions": ["你\U0001f600"]}
    broken = json.dumps({"instances": [{"b64": base64.b64encode(b"\xff\xfe").decode()}]})
    assert b'"\xff\xfe"' in session.post(url, data=broken).content
    assert b'"\xff"' in session.post(url, data=b'{"instances": ["\xff"]}').content


def test_bytes_go_both_ways_in_base64(ask):
    content = base64.b64encode(b"\xff\0a").decode()
    status, answer = ask(PREDICT, body("bytes", instances=[{"b64": content}, {"b64": content}]))
    assert status == 200 and answer == {"predictions": [{"b64": content}] * 2}
    assert ask(PREDICT, body("bytes", inputs=["a"]))[1] == {"outputs": [{"b64": "YQ=="}]}


def test_floats_keep_their_value(server, session, ask):
    values = [0.1, 0.2, 1 / 3, 1e10, 3e-5, 16777215.0, -0.0, 3.4e38, 1e-45]
    status, answer = ask(PREDICT, body("floats", instances=values))
    assert status == 200
    np.testing.assert_array_equal(np.float32(answer["predictions"]), np.float32(values))
    doubles = [[0.1, 1 / 3], [1e300, 2**53 - 1]]
    assert ask(PREDICT, body("doubles", instances=doubles))[1] == {"predictions": doubles}
    url = f"http://127.0.0.1:{server.rest_port}{PREDICT}"
    odd = '{"signature_name": "floats", "instances": [NaN, Infinity, -Infinity, 2, 9000000]}'
    raw = session.post(url, data=odd).content
    assert b"[NaN, Infinity, -Infinity, 2.0, 9e+06\n" in raw
    assert math.isnan(json.loads(raw)["predictions"][0])


def test_whole_numbers_and_flags_keep_their_type(ask):
    row = {
        "int8": -8,
        "int16": -300,
        "int32": -(2**31),
        "int64": -(2**63),
        "uint8": 255,
        "uint16": 65535,
        "uint32": 2**32 - 1,
        "uint64": 2**64 - 1,
    }
    assert ask(PREDICT, body("whole", instances=[row, row]))[1] == {"predictions": [row, row]}
    assert ask(PREDICT, body("flags", instances=[True, False])) == (
        200,
        {"predictions": [False, True]},
    )


# What models say of themselves.


def test_the_status_lists_the_versions_from_the_newest(ask):
    fine = {"error_code": "OK", "error_message": ""}
    states = [{"version": each, "state": "AVAILABLE", "status": fine} for each in ("11", "2", "1")]
    assert ask(VERSIONS) == (200, {"model_version_status": states})
    assert ask(f"{VERSIONS}/versions/2") == (200, {"model_version_status": states[1:2]})
    label = f"{VERSIONS}/labels/%E7%A8%B3%E5%AE%9A"
    assert ask(label) == (200, {"model_version_status": states[1:2]})


def test_the_metadata_are_the_signatures(ask):
    status, answer = ask(f"{VERSIONS}/versions/2/metadata")
    assert status == 200
    assert answer["model_spec"] == {"name": "版本", "signature_name": "", "version": "2"}
    found = answer["metadata"]["signature_def"]["signature_def"]
    assert found.keys() == {"serving_default", "__saved_model_init_op"}
    signature = found["serving_default"]
    assert signature["inputs"] == {
        "text": {
            "dtype": "DT_STRING",
            "tensor_shape": {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False},
            "name": "serving_default_text:0",
        }
    }
    assert signature["outputs"]["text"]["dtype"] == "DT_STRING"
    assert signature["method_name"] == "tensorflow/serving/predict"
    assert signature["defaults"] == {}


def test_prometheus_reads_what_was_asked(server, session, ask):
    ask(PREDICT, body(instances=["a"]))
    answer = session.get(f"http://127.0.0.1:{server.rest_port}/monitoring/prometheus/metrics")
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "text/plain"
    lines = answer.text.splitlines()
    assert "# TYPE :tensorflow:serving:request_count counter" in lines
    name = ':tensorflow:serving:request_count{model_name="kinds",status="OK"} '
    assert [line for line in lines if line.startswith(name)]


# Examples.


def test_examples_are_classified_and_regressed(ask):
    example = tf.train.Example()
    example.features.feature["词"].bytes_list.value.append("好".encode())
    size = float(len(example.SerializeToString()))
    asked = body("classify", examples=[{"词": "好"}])
    assert ask(f"{KINDS}:classify", asked) == (200, {"results": [[["好", size], ["bad", -size]]]})
    asked = body("regress", examples=[{"词": ["好"]}, {}])
    assert ask(f"{KINDS}:regress", asked) == (200, {"results": [size, 0.0]})


@pytest.mark.parametrize("method", ["classify", "regress"])
def test_a_model_to_predict_neither_classifies_nor_regresses(ask, method):
    asked = f"{KINDS}:{method}"
    kind = {"classify": "classification", "regress": "regression"}[method]
    status, answer = ask(asked, body(examples=[{"x": 1.5}]))
    start = f'No {kind} inputs found in SignatureDef: inputs {{\n  key: "text"'
    assert status == 400 and answer["error"].startswith(start)
    status, answer = ask(asked, body("x", examples=[{"x": 1}]))
    assert (status, answer["error"]) == (400, "No signature was found with the name: x")
    status, answer = ask(asked, body(examples=[]))
    assert status == 400 and answer["error"].endswith(" 'examples' value is an empty array")


def test_a_fault_of_the_server_is_told_and_it_goes_on(server, ask, monkeypatch):
    monkeypatch.setattr(server.manager, "statuses", lambda *arguments: 1 / 0)
    assert ask(KINDS) == (500, {"error": "ZeroDivisionError: division by zero"})
    monkeypatch.undo()
    assert ask(KINDS)[0] == 200
