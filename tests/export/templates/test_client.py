"""The client that an export brings along."""

import http.server
import json
import runpy
import sys
import threading

import pytest

import tflm.export
from tflm.export.bundle import template

CLIENT = f"{tflm.export.__path__[0]}/templates/client.py"


@pytest.fixture
def server():
    """Gives what it is asked in capitals, with the path and the signature, over REST."""
    pytest.importorskip("requests")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found = [
                {"text": row["text"].upper(), "signature": body["signature_name"]}
                for row in body["instances"]
            ]
            known = self.path == "/v1/models/demo:predict"
            answer = {"predictions": found} if known else {"error": "Servable not found"}
            self.send_response(200 if known else 404)
            self.end_headers()
            self.wfile.write(json.dumps(answer, ensure_ascii=False).encode())

        def log_message(self, *_): ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_it_is_short_and_needs_one_package():
    lines = template("client.py").splitlines()
    assert len(lines) <= 40
    imported = [line for line in lines if line.startswith(("import ", "from "))]
    assert imported == ["import argparse", "import json", "import requests"]


def test_it_answers_a_row_of_the_command_line(server, monkeypatch, capsys):
    arguments = ["demo", "--url", server, "--signature", "n_best", "text=你 a=b"]
    monkeypatch.setattr(sys, "argv", ["client.py", *arguments])
    runpy.run_path(CLIENT, run_name="__main__")
    out = capsys.readouterr().out
    assert "你" in out
    assert json.loads(out) == {"text": "你 A=B", "signature": "n_best"}


def test_it_says_what_the_server_says(server):
    ask = runpy.run_path(CLIENT)["ask"]
    rows = [{"text": "a"}, {"text": "b"}]
    assert [row["text"] for row in ask("demo", rows, url=server)] == ["A", "B"]
    with pytest.raises(SystemExit, match="gone: Servable not found"):
        ask("gone", rows, url=server)
