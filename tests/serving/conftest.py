"""A server in this process, and the small models that it serves."""

import shutil

import pytest
import requests
import tensorflow as tf

from tflm.serving.model_config import ModelConfig
from tflm.serving.server import Limits, Server
from tflm.serving.versions import VersionPolicy

MAX_BYTES = 100_000
WHOLE = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


def spec(name, dtype=tf.string, *shape):
    return tf.TensorSpec([None, *shape], dtype, name=name)


def function(body, *specs):
    return tf.function(body, input_signature=specs, autograph=False)


def signatures():
    """Signatures of all kinds that a client may meet."""

    seven = tf.constant([7.0])

    def checked(text):
        with tf.control_dependencies([tf.debugging.assert_none_equal(text, "坏")]):
            return {"text": tf.identity(text)}

    def count(n):
        last = tf.while_loop(lambda i: i < tf.reduce_max(n), lambda i: (i + 1,), [tf.constant(0)])
        return {"n": n + last[0]}

    def default(x, y=seven):
        return {"sum": x + y}

    def classes(inputs):
        labels = tf.stack([tf.fill(tf.shape(inputs), "好"), tf.fill(tf.shape(inputs), "bad")], 1)
        sizes = tf.cast(tf.strings.length(inputs), tf.float32)
        return {"classes": labels, "scores": tf.stack([sizes, -sizes], 1)}

    def whole(int8, int16, int32, int64, uint8, uint16, uint32, uint64):
        given = (int8, int16, int32, int64, uint8, uint16, uint32, uint64)
        return {name: tf.identity(value) for name, value in zip(WHOLE, given, strict=True)}

    text, x = spec("text"), spec("x", tf.float32)
    return {
        "serving_default": function(lambda text: {"text": tf.strings.upper(text)}, text),
        "pair": function(
            lambda a, b: {"text": a, "sum": tf.reduce_sum(b, 1)},
            spec("a"),
            spec("b", tf.float32, 2),
        ),
        "floats": function(lambda x: {"y": x}, x),
        "doubles": function(lambda x: {"y": x}, spec("x", tf.float64, None)),
        "whole": function(whole, *(spec(each, tf.as_dtype(each)) for each in WHOLE)),
        "flags": function(lambda on: {"off": tf.logical_not(on)}, spec("on", tf.bool)),
        "total": function(lambda x: {"total": tf.reduce_sum(x)}, x),
        "first": function(lambda x: {"y": x[:1], "x": x}, x),
        "bytes": function(lambda text: {"text_bytes": text}, text),
        "half": function(lambda x: {"y": tf.cast(x, tf.bfloat16)}, x),
        "halves": function(lambda x: {"y": x}, spec("x", tf.float16)),
        "checked": function(checked, text),
        "count": function(count, spec("n", tf.int32)),
        "default": function(default, x, spec("y", tf.float32)),
        "classify": function(classes, spec("inputs")),
        "regress": function(
            lambda inputs: {"outputs": tf.cast(tf.strings.length(inputs), tf.float32)},
            spec("inputs"),
        ),
        "xla": function(lambda x: {"y": tf.function(tf.sin, jit_compile=True)(x)}, x),
    }


@pytest.fixture(scope="session")
def upper(tmp_path_factory):
    """A directory with one version, 3, of a small model: capital letters."""
    directory = tmp_path_factory.mktemp("upper") / "upper"
    serve = function(lambda text: {"text": tf.strings.upper(text)}, spec("text"))
    tf.saved_model.save(tf.Module(), str(directory / "3"), signatures={"serving_default": serve})
    return directory


@pytest.fixture(scope="session")
def saved_models(upper, tmp_path_factory):
    """A directory of models: `kinds`, of many signatures, and `版本`, of versions 1, 2 and 11."""
    directory = tmp_path_factory.mktemp("saved_models")
    tf.saved_model.save(tf.Module(), str(directory / "kinds" / "123"), signatures=signatures())
    for version in (1, 2, 11):
        shutil.copytree(upper / "3", directory / "版本" / str(version))
    return directory


@pytest.fixture(scope="session")
def server(saved_models):
    """A server of both models, all of their versions, with a label."""
    models = [
        ModelConfig("kinds", saved_models / "kinds"),
        ModelConfig("版本", saved_models / "版本", VersionPolicy(latest=None), {"稳定": 2}),
    ]
    limits = Limits(MAX_BYTES, rest_timeout_ms=400, shutdown_seconds=5)
    options = {"rest_port": 0, "grpc_port": 0, "poll_seconds": 0, "limits": limits}
    with Server(lambda: models, **options) as running:
        yield running


@pytest.fixture(scope="session")
def session(server):
    """A client that keeps its connection."""
    with requests.Session() as client:
        client.trust_env = False
        yield client


@pytest.fixture(scope="session")
def ask(server, session):
    """A function that gives status and content of an answer of REST."""

    def ask(path, body=None, method=None, **options):
        url = f"http://127.0.0.1:{server.rest_port}{path}"
        verb = method or ("GET" if body is None else "POST")
        content = body.encode() if isinstance(body, str) else body
        answer = session.request(verb, url, data=content, timeout=20, **options)
        assert answer.headers["Content-Type"] == "application/json", answer.text
        return answer.status_code, answer.json()

    return ask
