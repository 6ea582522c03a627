import http.server
import json
import shutil
import subprocess
import threading

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
    wrappers_pb2,
)

from tflm.export import bundle
from tflm.export.bundle import FILES, template, write_bundle
from tflm.export.check import TARGETS
from tflm.export.model_config import models_of, with_model
from tflm.export.recording import record_warmup
from tflm.export.saved_model_file import read
from tflm.export.session import Session


def texts(parent):
    """Every file of a directory that is no model, by its path."""
    return {
        str(path.relative_to(parent)): path.read_text(encoding="utf-8")
        for path in parent.rglob("*")
        if path.is_file() and not {"1", "2"} & {path.parent.name, path.parents[1].name}
    }


@pytest.fixture
def models(upper, tmp_path):
    """A directory with a model that was asked something, and one that was not."""
    for name, version in (("capitals", "1"), ("又一个", "2")):
        shutil.copytree(upper, tmp_path / name / version)
    record_warmup(tmp_path / "capitals" / "1", "capitals", ["ab", "你好"])
    (tmp_path / "notes").mkdir()
    (tmp_path / ".writing" / "5").mkdir(parents=True)
    return tmp_path


def test_a_server_can_start_on_what_is_written(models):
    found = write_bundle(models / "capitals" / "1")
    assert found.kept == []
    assert texts(models).keys() == {"models.config", *FILES}
    requests = sorted(path.name for path in (models / "capitals" / "requests" / "1").iterdir())
    assert requests == [f"serving_default.{f}" for f in ("columns.json", "grpc.pbtxt", "rows.json")]
    assert len(found.written) == 1 + len(FILES) + 3
    assert models_of((models / "models.config").read_text("utf-8")) == ["capitals", "又一个"]
    assert not [path for path in models.rglob(".*") if path.is_file()]  # nothing half written


def test_the_sample_requests_are_answered(models):
    write_bundle(models / "capitals" / "1")
    body = json.loads(
        (models / "capitals" / "requests" / "1" / "serving_default.columns.json").read_text("utf-8")
    )
    model = read(models / "capitals")
    signature = model.signatures()[body["signature_name"]]
    assert body["inputs"].keys() == signature.inputs.keys()
    sent = {
        name: np.array([t.encode() for t in column], object)
        for name, column in body["inputs"].items()
    }
    answered = Session(model).run(body["signature_name"], sent)
    assert [text.decode() for text in answered["text"]] == ["AB", "你好"]


def test_what_a_user_changed_is_kept(models):
    write_bundle(models / "capitals" / "1")
    (models / "compose.yaml").write_text("mine", encoding="utf-8")
    config = "# 我的\n" + with_model("", "capitals", "/elsewhere")
    (models / "models.config").write_text(config, encoding="utf-8")
    before = texts(models)
    again = write_bundle(models / "capitals" / "1")
    assert again == ([], [models / "compose.yaml"])
    assert texts(models) == before
    other = write_bundle(models / "又一个" / "2")
    assert other == ([models / "models.config"], [models / "compose.yaml"])
    after = (models / "models.config").read_text("utf-8")
    assert after.startswith("# 我的\n") and "/elsewhere" in after
    assert models_of(after) == ["capitals", "又一个"]


def test_a_config_without_a_list_of_models_is_kept(models):
    (models / "models.config").write_text("custom_model_config {}", encoding="utf-8")
    found = write_bundle(models / "capitals" / "1")
    assert found.kept == [models / "models.config"]
    assert (models / "models.config").read_text("utf-8") == "custom_model_config {}"


def test_a_file_appears_whole_or_not_at_all(models, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(bundle.os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_bundle(models / "capitals" / "1")
    assert texts(models) == {}


def test_there_must_be_a_version(models):
    with pytest.raises(FileNotFoundError, match="numbered directory of a SavedModel.*notes"):
        write_bundle(models / "notes")


def test_both_manifests_run_a_known_server_with_the_same_options():
    yaml = pytest.importorskip("yaml")
    composed = yaml.safe_load(template("compose.yaml"))["services"]["serving"]
    claim, deployment, service = yaml.safe_load_all(template("kubernetes.yaml"))
    pod = deployment["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    assert composed["command"] == container["args"]
    assert composed["image"] == container["image"]
    image, version = composed["image"].split(":")
    assert image == "tensorflow/serving"
    assert version.rpartition(".")[0] in TARGETS
    probe = ["bash", "/models/ready.sh"]
    assert composed["healthcheck"]["test"] == ["CMD", *probe]
    assert container["readinessProbe"]["exec"]["command"] == probe
    assert container["startupProbe"]["exec"]["command"] == probe
    labels = pod["metadata"]["labels"]
    assert labels == deployment["spec"]["selector"]["matchLabels"] == service["spec"]["selector"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {port["name"]: port["port"] for port in service["spec"]["ports"]}
    (volume,) = pod["spec"]["volumes"]
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert [mount["name"] for mount in container["volumeMounts"]] == [volume["name"]]


def test_batching_parameters_are_those_of_the_server():
    file = descriptor_pb2.FileDescriptorProto(name="b.proto", package="b", syntax="proto3")
    file.dependency.append("google/protobuf/wrappers.proto")
    message = file.message_type.add(name="BatchingParameters")
    whole = ("max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads")
    fields = [(name, "Int64Value") for name in whole]
    for number, (name, kind) in enumerate(
        [*fields, ("enable_large_batch_splitting", "BoolValue")], 1
    ):
        message.field.add(
            name=name, number=number, label=1, type=11, type_name=f".google.protobuf.{kind}"
        )
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    cls = message_factory.GetMessageClass(pool.FindMessageTypeByName("b.BatchingParameters"))
    found = text_format.Parse(template("batching_params.pbtxt"), cls())
    assert not found.enable_large_batch_splitting.value  # tokenize has no parts of one width
    assert found.max_batch_size.value > 1
    assert 0 < found.batch_timeout_micros.value <= 10_000


@pytest.fixture
def ready(tmp_path):
    """A function that says what ready.sh says of a server with models in some states."""
    script = tmp_path / "ready.sh"
    script.write_text(template("ready.sh"), encoding="utf-8")
    config = tmp_path / "models.config"
    config.write_text(
        '# name: "old"\n' + with_model(with_model("", "a", "/models/a"), "b", "/models/b"), "utf-8"
    )

    def run(states):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.end_headers()
                state = states[self.path.removeprefix("/v1/models/")]
                self.wfile.write(json.dumps({"model_version_status": [{"state": state}]}).encode())

            def log_message(self, *_): ...

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            port = server.server_port
            threading.Thread(target=server.serve_forever).start()
            try:
                return subprocess.run(
                    ["bash", script, config, str(port)], capture_output=True, text=True, timeout=30
                )
            finally:
                server.shutdown()

    return run


def test_a_server_is_ready_when_every_model_is(ready):
    done = ready({"a": "AVAILABLE", "b": "AVAILABLE"})
    assert (done.returncode, done.stdout) == (0, "")
    done = ready({"a": "AVAILABLE", "b": "LOADING"})
    assert (done.returncode, done.stdout) == (1, "b is not available\n")


def test_a_server_that_does_not_listen_is_not_ready(tmp_path):
    config = tmp_path / "models.config"
    config.write_text(with_model("", "a", "/models/a"), "utf-8")
    script = tmp_path / "ready.sh"
    script.write_text(template("ready.sh"), encoding="utf-8")
    assert subprocess.run(["bash", script, config, "1"], capture_output=True).returncode == 1
    config.write_text("model_config_list {}", "utf-8")
    done = subprocess.run(["bash", script, config, "1"], capture_output=True, text=True)
    assert done.returncode == 1 and "names no model" in done.stdout


def test_an_export_has_its_batching_parameters(double, tmp_path):
    from tflm.export import save

    path = save(*double, tmp_path / "double", warmup=())
    assert (path / "batching_params.pbtxt").read_text("utf-8") == template("batching_params.pbtxt")


@pytest.fixture
def double():
    module = tf.Module()
    spec = tf.TensorSpec([None], tf.float32, "x")
    function = tf.function(lambda x: {"y": x + x}, input_signature=[spec], autograph=False)
    return module, {"serving_default": function}
