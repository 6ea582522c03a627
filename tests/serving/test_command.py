import signal
import subprocess
import sys

import pytest

from tflm.serving import command


@pytest.fixture
def files(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "batching.pbtxt").write_text("max_batch_size { value: 0 }")
    (tmp_path / "models.config").write_text("model_config_list { config { name: '模' } }")
    return tmp_path


def test_help_says_what_it_is_for_and_imports_no_tensorflow():
    code = (
        "import sys; from tflm.cli import main; sys.argv = ['tflm', 'serve', '--help']\n"
        "try: main()\n"
        "finally: assert 'tensorflow' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for text in ("tensorflow/serving", "--rest-api-port", "8501", "8500", "--enable-batching"):
        assert text in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "`directory` must be given, or --model-config-file instead. Received: neither"),
        (["{}", "--model-config-file", "{}/models.config"], "Received: both"),
        (["{}/nowhere"], "`directory` must be a directory of models. Received: directory="),
        (["{}", "--version-policy", "newest"], "`version_policy` must be latest, latest:N, all"),
        (["--model-config-file", "{}/models.config"], "`model_platform` must be 'tensorflow'"),
        (["--model-config-file", "{}/nowhere"], "No such file or directory"),
        (
            ["--model-config-file", "{}/models.config", "--version-policy", "all"],
            "`version_policy` must be in the file of --model-config-file",
        ),
        (
            ["{}", "--model-config-file-poll-wait-seconds", "3"],
            "`model_config_file_poll_wait_seconds` must be given with --model-config-file",
        ),
        (
            ["{}", "--batching-parameters-file", "{}/batching.pbtxt"],
            "`batching_parameters_file` must be given with --enable-batching",
        ),
        (
            ["{}", "--enable-batching", "--batching-parameters-file", "{}/batching.pbtxt"],
            "`max_batch_size` must be positive. Received: 0",
        ),
    ],
)
def test_what_cannot_be_served_is_one_line(refused, files, arguments, message):
    assert message in refused("serve", *(each.format(files) for each in arguments))


def test_a_signal_ends_the_server(upper, monkeypatch, capsys):
    handlers = {}
    monkeypatch.setattr(signal, "signal", handlers.__setitem__)
    monkeypatch.setattr("tflm.export.replay.disable_xla", lambda: None)  # it is for good

    class Server:
        def __init__(self, models, **options):
            self.models, self.options = models(), options
            self.rest_port, self.grpc_port = 18, 19
            made.append(self)

        def __enter__(self):
            handlers[signal.SIGTERM](signal.SIGTERM, None)

        def __exit__(self, *details):
            made.append("ended")

    made = []
    monkeypatch.setattr("tflm.serving.server.Server", Server)
    with pytest.raises(SystemExit) as ended:
        command.main([str(upper), "--enable-batching", "--version-policy", "all", "--verbose"])
    assert not ended.value.code and made[1] == "ended"
    assert [model.name for model in made[0].models] == ["upper"]
    assert made[0].models[0].policy.latest is None
    assert made[0].options["batching"].max_batch_size == 1000
    assert made[0].options["limits"].rest_timeout_ms == 30_000
    assert "REST http://127.0.0.1:18, gRPC 127.0.0.1:19: ready" in capsys.readouterr().out
    assert handlers[signal.SIGTERM] == signal.SIG_DFL and signal.SIGINT in handlers


def test_the_extra_that_is_missing_is_named(refused, files, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    assert "needs an extra: pip install 'tflm[serving]'" in refused("serve", str(files))
