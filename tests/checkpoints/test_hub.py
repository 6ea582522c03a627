"""The Hugging Face Hub as a small server on this machine: no test leaves it."""

import hashlib
import http.server
import json
import threading
import urllib.parse

import pytest

from tflm import checkpoints
from tflm.checkpoints import hub

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHER = "fedcba9876543210fedcba9876543210fedcba98"


class Hub:
    """Repositories: name -> commit -> file name -> bytes; the requests made are kept."""

    def __init__(self):
        self.repositories = {}
        self.requests = []
        self.damaged = set()
        self.private = set()

    def answer(self, path):
        """Status, headers and body for a path."""
        self.requests.append(path)
        parts = urllib.parse.unquote(path.partition("?")[0]).strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            name, _, rest = "/".join(parts[2:]).partition("/revision/")
            return self.listing(name, rest or "main")
        name, _, rest = "/".join(parts).partition("/resolve/")
        revision, _, file = rest.partition("/")
        return self.file(name, revision, file)

    def find(self, name, revision):
        if name in self.private or name not in self.repositories:
            return None, {"X-Error-Code": "RepoNotFound"}
        commits = self.repositories[name]
        commit = revision if revision in commits else {"main": COMMIT, "old": OTHER}.get(revision)
        return (commit, {}) if commit in commits else (None, {"X-Error-Code": "RevisionNotFound"})

    def listing(self, name, revision):
        commit, error = self.find(name, revision)
        if commit is None:
            return 404, error, b"{}"
        siblings = [
            {
                "rfilename": file,
                "size": len(data),
                "lfs": {
                    "sha256": hashlib.sha256(data).hexdigest(),
                    "size": len(data),
                    "pointerSize": 99,
                }
                if file.endswith((".safetensors", ".bin"))
                else None,
            }
            for file, data in self.repositories[name][commit].items()
        ]
        info = {"id": name, "modelId": name, "sha": commit, "siblings": siblings}
        return 200, {"Content-Type": "application/json"}, json.dumps(info).encode()

    def file(self, name, revision, file):
        commit, error = self.find(name, revision)
        files = self.repositories[name][commit] if commit else {}
        if file not in files:
            return 404, error or {"X-Error-Code": "EntryNotFound"}, b""
        data = files[file]
        if file in self.damaged:
            data = bytes(reversed(data))
        headers = {"X-Repo-Commit": commit, "ETag": f'"{hashlib.sha256(data).hexdigest()}"'}
        return 200, headers, data


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A running `Hub` that huggingface_hub talks to, with an empty cache."""
    constants = pytest.importorskip("huggingface_hub.constants", reason="needs tflm[hub]")
    found = Hub()

    class Handler(http.server.BaseHTTPRequestHandler):
        def respond(self, body=True):
            status, headers, data = found.answer(self.path)
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(key, value)
            self.end_headers()
            if body:
                self.wfile.write(data)

        do_GET = respond

        def do_HEAD(self):
            self.respond(body=False)

        def log_message(self, *_):
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{running.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    yield found
    running.shutdown()
    running.server_close()


@pytest.fixture
def published(server, fixture_directory):
    """The server with a repository of two commits: a BERT, and a smaller one before it."""
    files = {
        name: {
            path.name: path.read_bytes()
            for path in fixture_directory(fixture).iterdir()
            if path.name != "expected.safetensors"
        }
        for name, fixture in {COMMIT: "bert", OTHER: "distilbert"}.items()
    }
    more = {"pytorch_model.bin": b"pickle", "onnx/model.onnx": b"onnx", "vocab.txt": b"[PAD]\n"}
    files[COMMIT].update(more)
    server.repositories["someone/bert"] = files
    return server


def test_names_of_repositories_are_told_from_paths():
    assert all(map(hub.is_repository, ["gpt2", "Helsinki-NLP/opus-mt-en-de", "a_b/c.d-1"]))
    assert not any(map(hub.is_repository, ["./gpt2", "/data/gpt2", "a/b/c", "", "a b", "~/x"]))


def test_a_repository_becomes_a_model(published, fixture_directory):
    model = checkpoints.load_model("someone/bert")
    expected = checkpoints.load_model(fixture_directory("bert"))
    assert model.config == expected.config
    assert all((a == b).numpy().all() for a, b in zip(model.weights, expected.weights, strict=True))


def test_only_the_files_needed_are_downloaded(published):
    directory = hub.download("someone/bert")
    assert {path.name for path in directory.iterdir()} == {
        "config.json",
        "model.safetensors",
        "vocab.txt",
    }
    assert not [path for path in published.requests if "onnx" in path or ".bin" in path]


def test_weights_may_be_left_out(published):
    directory = hub.download("someone/bert", weights=False)
    assert {path.name for path in directory.iterdir()} == {"config.json", "vocab.txt"}


@pytest.mark.parametrize("revision", ["old", OTHER])
def test_a_revision_can_be_pinned(published, revision):
    model = checkpoints.load_model("someone/bert", revision=revision)
    assert type(model).__name__ == "DistilBert"


def test_the_weights_come_from_the_cache_the_second_time(published):
    first = hub.download("someone/bert")
    published.requests.clear()
    assert hub.download("someone/bert") == first
    assert not [path for path in published.requests if "resolve" in path and "safetens" in path]


def test_the_cache_serves_without_a_network(published, monkeypatch):
    from huggingface_hub import constants

    first = hub.download("someone/bert")
    nowhere = "http://127.0.0.1:1"
    monkeypatch.setattr(constants, "ENDPOINT", nowhere)
    template = nowhere + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    assert hub.download("someone/bert") == first
    with pytest.raises(OSError, match="'someone/else' is neither a directory nor in the cache"):
        hub.download("someone/else")


def test_shards_are_downloaded_by_their_index(published, fixture_directory, tmp_path):
    model = checkpoints.load_model(fixture_directory("bert"))
    checkpoints.save_pretrained(model, tmp_path / "out", format="huggingface", shard_bytes=9000)
    files = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert len(files) > 3
    published.repositories["someone/large"] = {COMMIT: files}
    assert checkpoints.load_model("someone/large").config == model.config
    shard = next(name for name in files if "-of-" in name)
    del files[shard]
    with pytest.raises(FileNotFoundError, match=rf"Missing: \['{shard}'\]"):
        hub.download("someone/large")


def test_damaged_weights_are_noticed_and_fetched_again(published):
    published.damaged.add("model.safetensors")
    with pytest.raises(OSError, match="model.safetensors was damaged on its way and is deleted"):
        hub.download("someone/bert")
    published.damaged.clear()
    directory = hub.download("someone/bert")
    data = published.repositories["someone/bert"][COMMIT]["model.safetensors"]
    assert (directory / "model.safetensors").read_bytes() == data


@pytest.mark.parametrize("private", [False, True])
def test_a_repository_that_does_not_exist_or_may_not_be_read(published, private):
    if private:
        published.private.add("someone/bert")
    name = "someone/bert" if private else "someone/nothing"
    with pytest.raises(
        FileNotFoundError, match=f"exists and that you may read. Received: '{name}'"
    ):
        hub.download(name)


def test_a_revision_that_does_not_exist(published):
    with pytest.raises(FileNotFoundError, match="that someone/bert has. Received: revision='v9'"):
        hub.download("someone/bert", revision="v9")


def test_a_repository_of_pickles_is_refused_before_they_are_downloaded(published):
    files = published.repositories["someone/bert"][COMMIT]
    del files["model.safetensors"]
    with pytest.raises(ValueError, match=r"\['pytorch_model.bin'\] in someone/bert"):
        hub.download("someone/bert")
    assert not [path for path in published.requests if ".bin" in path]
    del files["pytorch_model.bin"], files["onnx/model.onnx"]
    with pytest.raises(ValueError, match="`source` must hold model.safetensors. Received: 'some"):
        hub.download("someone/bert")


def test_a_repository_without_a_configuration_is_refused(published):
    del published.repositories["someone/bert"][COMMIT]["config.json"]
    with pytest.raises(FileNotFoundError, match="`source` must hold config.json. Received: 'some"):
        hub.download("someone/bert")


def test_a_branch_that_moves_meanwhile_is_read_at_one_commit(published, monkeypatch):
    answers = published.listing

    def moved(name, revision):
        return answers(name, "old" if revision == "main" else revision)

    monkeypatch.setattr(published, "listing", moved)
    assert hub.download("someone/bert").name == COMMIT


def test_another_refusal_of_the_hub_is_passed_on(published, monkeypatch):
    monkeypatch.setattr(published, "listing", lambda *_: (418, {}, b"{}"))
    with pytest.raises(OSError, match="the Hugging Face Hub refused 'someone/bert'"):
        hub.download("someone/bert")


def test_without_huggingface_hub_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r"pip install 'tflm\[hub\]'"):
        hub.download("someone/bert")
