"""The server as a whole, most of it in a process of its own and under load."""

import http.client
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
import requests
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from tflm.export.warmup import Record, write_warmup
from tflm.serving.batching_parameters import BatchingParameters
from tflm.serving.model_config import ModelConfig, discover_models
from tflm.serving.rest import RestApi
from tflm.serving.server import Server

CLIENTS = 64
LOAD_SECONDS = 60.0
SETTLED_SECONDS = 10.0
MOST_GROWTH = 1.05
PREDICT = "/v1/models/upper:predict"
FREE = {"rest_port": 0, "grpc_port": 0}

# Statuses that the API documents; 413 is a body that is too large.
DOCUMENTED = {200, 400, 404, 413, 429, 500, 501, 503, 504}


# In this process.


def test_models_that_appear_are_served(upper, tmp_path):
    shutil.copytree(upper, tmp_path / "first")
    with Server(lambda: discover_models(tmp_path), poll_seconds=0.05, **FREE) as server:
        shutil.copytree(upper, tmp_path / "writing" / "m")
        (tmp_path / "writing" / "m").rename(tmp_path / "第二")
        url = f"http://127.0.0.1:{server.rest_port}/v1/models"
        deadline = time.monotonic() + 20
        while requests.get(f"{url}/第二/metadata", timeout=20).status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        answer = requests.post(f"{url}/第二:predict", json={"instances": ["é"]}, timeout=20)
        assert answer.json() == {"predictions": ["é"]}


def test_requests_of_several_clients_run_together(upper):
    parameters = BatchingParameters(max_batch_size=4, batch_timeout_micros=20_000_000)
    models = [ModelConfig("upper", upper)]
    with Server(lambda: models, batching=parameters, poll_seconds=0, **FREE) as server:
        url = f"http://127.0.0.1:{server.rest_port}{PREDICT}"

        def ask(text):
            return requests.post(url, json={"instances": [text]}, timeout=20).json()

        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(ask, "ab好d"))
        assert [each["predictions"] for each in answers] == [["A"], ["B"], ["好"], ["D"]]
        bad = requests.post(url, json={"instances": list("abcde")}, timeout=20)
        assert bad.status_code == 400
        assert bad.json()["error"] == "Task size 5 is larger than maximum input batch size 4"
        assert "processed_batch_size_count{} 1\n" in server.metrics.page()


def test_the_first_request_of_all_is_the_servers_own(upper, monkeypatch):
    asked, answer = [], RestApi.answer

    def recorded(api, verb, path, body):
        asked.append((verb, path))
        return answer(api, verb, path, body)

    monkeypatch.setattr(RestApi, "answer", recorded)
    with Server(lambda: [ModelConfig("upper", upper)], poll_seconds=0, **FREE):
        assert asked == [("GET", "/")]


def test_nothing_to_serve_is_refused(upper, tmp_path):
    with pytest.raises(ValueError, match="Received: no directory with numbered versions"):
        Server(lambda: discover_models(tmp_path), **FREE)
    (tmp_path / "m" / "1").mkdir(parents=True)
    message = (
        r"`directory` must hold a model that can be served. Received: m \(version 1: Could not"
    )
    with pytest.raises(ValueError, match=message):
        Server(lambda: discover_models(tmp_path), **FREE)
    with pytest.raises(ValueError, match=r"Received: m \(no version in "):
        Server(lambda: [ModelConfig("m", tmp_path / "nowhere")], **FREE)
    labelled = [ModelConfig("m", upper, labels={"stable": 8})]
    with pytest.raises(ValueError, match="`version_labels` must be available. .* version 8 of"):
        Server(lambda: labelled, **FREE)


def test_a_port_that_is_taken_is_told(upper):
    models = [ModelConfig("upper", upper)]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            Server(lambda: models, rest_port=port, grpc_port=0)
        with pytest.raises(OSError, match=f"The gRPC address 127.0.0.1:{port} cannot be listened"):
            Server(lambda: models, rest_port=0, grpc_port=port)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["b64", "text", "a", "b", "x"]), inner, max_size=2)
    ),
    max_leaves=6,
)
names = st.sampled_from(["serving_default", "pair", "floats", "whole", "bytes", "total", "x", "签"])
bodies = st.binary(max_size=60) | st.builds(
    lambda signature, key, value: json.dumps({"signature_name": signature, key: value}).encode(),
    names,
    st.sampled_from(["instances", "inputs", "examples"]),
    json_values,
)
methods = st.sampled_from(["predict", "classify", "regress"])


def fuzz(ask, method, content):
    status, answer = ask(f"/v1/models/kinds:{method}", content)
    assert status in DOCUMENTED - {500}
    assert answer.keys() <= {"predictions", "outputs", "results", "error"} and len(answer) == 1


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(methods, bodies)
def test_any_body_is_answered_by_a_documented_error(ask, method, content):
    fuzz(ask, method, content)


@pytest.mark.slow
@settings(deadline=None, max_examples=1500, suppress_health_check=list(HealthCheck))
@given(methods, bodies)
def test_any_of_many_bodies_is_answered_by_a_documented_error(ask, method, content):
    fuzz(ask, method, content)


@settings(deadline=None, max_examples=30, suppress_health_check=list(HealthCheck))
@given(st.lists(st.binary(max_size=30) | st.text(max_size=9).map(str.encode), max_size=4))
def test_any_bytes_are_answered_as_strings(ask, server, texts):
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        request = predict_pb2.PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = "kinds", "bytes"
        array = np.array(texts, object) if texts else np.zeros(0, object)
        request.inputs["text"].CopyFrom(tf.make_tensor_proto(array, tf.string))
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        outputs = stub.Predict(request, timeout=20).outputs
    assert list(outputs["text_bytes"].string_val) == texts


# In a process of its own.


class Process:
    """`tflm serve` on free ports."""

    def __init__(self, *arguments):
        command = [sys.executable, "-c", "from tflm.cli import main; main()", "serve"]
        command += ["--rest-api-port", "0", "--port", "0", *map(str, arguments)]
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
        )
        line = next((line for line in self.process.stdout if "ready" in line), "")
        assert line, "the server has not started"
        words = line.replace(",", "").split()
        self.url, self.grpc = words[2], words[4].rstrip(":")

    def memory(self):
        lines = pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmRSS")).split()[1])

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        code = self.process.wait(60)
        self.process.stdout.close()
        return code

    def __enter__(self):
        return self

    def __exit__(self, *details):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


GOOD = [
    (["abc"], ["ABC"]),
    (["你好é", "x" * 300], ["你好é", "X" * 300]),
    ([""] * 7, [""] * 7),
]
BAD = [
    (b"", 400),
    (b"{", 400),
    (b'{"instances": [1]}', 400),
    (b'{"instances": [["a"]]}', 400),
    (b'{"signature_name": "x", "instances": ["a"]}', 400),
]


class Load:
    """Clients that ask without end, good and bad requests, and check what they are answered.

    A request is lost where its connection was there before the server was told to end.
    """

    def __init__(self, url):
        self.port = int(url.rpartition(":")[2])
        self.answered = 0
        self.wrong = []
        self.lost = []
        self.ending = threading.Event()
        self.ended = threading.Event()
        self.threads = [
            threading.Thread(target=self._client, args=(number,)) for number in range(CLIENTS)
        ]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *details):
        self.ended.set()
        self.join()

    def join(self):
        for thread in self.threads:
            thread.join(60)

    def _client(self, number):
        chance = random.Random(number)
        while not self.ended.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            late = None
            try:
                connection.connect()
                late = self.ending.is_set()
                while not self._ask(connection, chance) and not self.ended.is_set():
                    pass
            except (OSError, http.client.HTTPException) as error:
                if late or (late is None and self.ending.is_set()):
                    return
                self.lost.append(repr(error))
            finally:
                connection.close()

    def _ask(self, connection, chance):
        """Asks once; whether the server ends the connection."""
        path, status, wanted = PREDICT, 200, None
        if chance.random() < 0.8:
            texts, wanted = chance.choice(GOOD)
            content = json.dumps({"instances": texts})
        elif chance.random() < 0.2:
            path, status = f"/v1/models/made-up-{chance.random()}:predict", 404
            content = '{"instances": ["a"]}'
        else:
            content, status = chance.choice(BAD)
        connection.request("POST", path, content)
        answer = connection.getresponse()
        found = json.loads(answer.read())
        right = "error" in found if wanted is None else found == {"predictions": wanted}
        if answer.status != status or not right:
            self.wrong.append((answer.status, found))
        self.answered += 1
        return answer.will_close


@pytest.fixture
def base(upper, tmp_path):
    """A directory of models with `upper`, version 3, which warms itself up."""
    shutil.copytree(upper, tmp_path / "models" / "upper")
    version = tmp_path / "models" / "upper" / "3"
    records = [
        Record("", {"text": np.array([text.encode()], object)}, {}) for text in ("a", "你好", "")
    ]
    write_warmup(version, "upper", records)
    return tmp_path / "models"


def add(base, version):
    shutil.copytree(base / "upper" / "3", base / "writing")
    (base / "writing").rename(base / "upper" / str(version))


def wait_for(url, version, state):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        status = requests.get(f"{url}/v1/models/upper", timeout=60).json()
        found = {each["version"]: each for each in status["model_version_status"]}
        if found.get(version, {}).get("state") == state:
            return found[version]
        time.sleep(0.1)
    raise AssertionError((version, state, status))


@pytest.mark.slow
@pytest.mark.parametrize("batching", [(), ("--enable-batching",)], ids=["single", "batched"])
def test_under_load_no_answer_is_wrong_and_memory_is_flat(base, batching):
    with Process(base, *batching) as server:
        with Load(server.url) as load:
            time.sleep(SETTLED_SECONDS)
            settled = server.memory()
            time.sleep(LOAD_SECONDS - SETTLED_SECONDS)
            grown = server.memory() / settled
        assert not load.wrong and not load.lost and load.answered > CLIENTS
        assert grown < MOST_GROWTH, f"{grown:.3f} of {settled / 1024:.0f} MiB"
        assert server.end() == 0


@pytest.mark.slow
def test_versions_come_and_go_under_load_without_a_failed_request(base):
    with Process(base, "--file-system-poll-wait-seconds", "0.2") as server:
        with Load(server.url) as load:
            time.sleep(1)
            add(base, 4)
            wait_for(server.url, "4", "AVAILABLE")
            wait_for(server.url, "3", "END")
            (base / "upper" / "5").mkdir()
            (base / "upper" / "5" / "saved_model.pb").write_bytes(b"\xff broken")
            broken = wait_for(server.url, "5", "END")
            assert broken["status"]["error_code"] == "DATA_LOSS"
            assert "saved_model.pb" in broken["status"]["error_message"]
            before = load.answered
            time.sleep(1)
        assert load.answered > before and not load.wrong and not load.lost
        wait_for(server.url, "4", "AVAILABLE")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_under_load_loses_no_request(base, number):
    with Process(base) as server:
        with Load(server.url) as load:
            time.sleep(2)
            load.ending.set()
            assert server.end(number) == 0
            load.join()
            assert not any(thread.is_alive() for thread in load.threads)
        assert not load.wrong and not load.lost and load.answered > CLIENTS


def first_to_median(base):
    """How many times as long as the median the first request to a new server takes."""
    with Process(base) as server:
        seconds = []
        for _ in range(40):
            began = time.perf_counter()
            asked = {"instances": ["你好"]}
            assert requests.post(server.url + PREDICT, json=asked, timeout=60).status_code == 200
            seconds.append(time.perf_counter() - began)
    return seconds[0] / statistics.median(seconds)


@pytest.mark.slow
def test_the_first_request_is_hardly_slower_than_the_others(base):
    # The least of five: what else the machine does can slow one request, a cold model slows all.
    assert min(first_to_median(base) for _ in range(5)) <= 2


@pytest.mark.slow
def test_xla_is_off_as_in_the_server(saved_models):
    with Process(saved_models) as server:
        asked = {"signature_name": "xla", "instances": [1.5]}
        answer = requests.post(f"{server.url}/v1/models/kinds:predict", json=asked, timeout=60)
        assert answer.status_code == 500
        assert answer.json()["error"].startswith("XLA compilation disabled")
