import json

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format

from tflm.export.sample_requests import sample_requests
from tflm.export.warmup import Record


def strings(*texts):
    return np.array([text.encode() for text in texts], object)


RECORDS = [
    Record("", {"text": strings("How are you?")}, {}),
    Record("", {"text": strings('你好 "吗"\n')}, {}),
    Record("", {"text": strings("not", "shown")}, {}),
    Record("ids", {"ids": np.array([[3, 5, 8]], np.int32), "t": np.array([0.5], np.float32)}, {}),
    Record("ids", {"ids": np.array([[1, 2]], np.int32), "t": np.array([0.7], np.float32)}, {}),
]


def test_every_signature_that_was_asked_has_three_requests():
    files = sample_requests("demo", RECORDS)
    forms = ("columns.json", "grpc.pbtxt", "rows.json")
    assert sorted(files) == sorted(
        f"{signature}.{form}" for signature in ("serving_default", "ids") for form in forms
    )
    rows = json.loads(files["serving_default.rows.json"])
    assert rows["signature_name"] == "serving_default"
    assert rows["instances"] == [{"text": "How are you?"}, {"text": '你好 "吗"\n'}]
    assert "你好" in files["serving_default.rows.json"]
    columns = json.loads(files["serving_default.columns.json"])
    assert columns["inputs"] == {"text": ["How are you?", '你好 "吗"\n']}
    ids = json.loads(files["ids.rows.json"])
    assert ids["instances"] == [{"ids": [3, 5, 8], "t": 0.5}]


def test_bytes_that_are_no_text_are_base64():
    record = Record("", {"text": np.array([b"\xff\x00"], object)}, {})
    rows = json.loads(sample_requests("demo", [record])["serving_default.rows.json"])
    assert rows["instances"] == [{"text": {"b64": "/wA="}}]


def test_a_grpc_request_is_what_tf_serving_reads():
    predict = pytest.importorskip("tensorflow_serving.apis.predict_pb2")
    files = sample_requests('de"mo', RECORDS)
    request = text_format.Parse(files["serving_default.grpc.pbtxt"], predict.PredictRequest())
    assert request.model_spec.name == 'de"mo'
    assert request.model_spec.signature_name == "serving_default"
    sent = tf.make_ndarray(request.inputs["text"])
    assert [text.decode() for text in sent] == ["How are you?", '你好 "吗"\n']
    request = text_format.Parse(files["ids.grpc.pbtxt"], predict.PredictRequest())
    assert tf.make_ndarray(request.inputs["ids"]).tolist() == [[3, 5, 8]]


def test_what_was_never_asked_has_none():
    assert sample_requests("demo", []) == {}
