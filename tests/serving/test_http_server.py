import gzip
import http.client
import json
import socket
import threading
import time

import pytest

from tflm.serving.http_server import HttpServer
from tflm.serving.rest import Answer

MOST = 1000


class Echo:
    """Answers with what it was asked; waits where the path says so."""

    def __init__(self):
        self.go = threading.Event()
        self.asked = threading.Event()

    def __call__(self, method, path, body):
        self.asked.set()
        if path == "/wait":
            self.go.wait(20)
        return Answer(200, json.dumps([method, path, body.decode("latin-1")]).encode())


@pytest.fixture(scope="module")
def server():
    running = HttpServer(("127.0.0.1", 0), Echo(), MOST)
    running.start()
    yield running
    running.stop(1)


@pytest.fixture
def connect(server):
    """A function that opens a connection; all are closed at the end."""
    made = []

    def connect(to=server):
        made.append(http.client.HTTPConnection("127.0.0.1", to.server_port, timeout=20))
        return made[-1]

    yield connect
    for connection in made:
        connection.close()


def ask(connection, method="POST", path="/v1/x", body=b"", **options):
    connection.request(method, path, body, **options)
    answer = connection.getresponse()
    return answer, answer.read()


def raw(server, content):
    """All that the server sends for these bytes."""
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=20) as client:
        client.sendall(content)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(65536), b""))


def test_a_connection_is_kept_for_the_next_request(connect):
    connection = connect()
    for number in range(3):
        answer, body = ask(connection, body=b"%d" % number)
        assert answer.status == 200 and answer.version == 11 and not answer.will_close
        assert json.loads(body) == ["POST", "/v1/x", str(number)]


def test_a_body_may_be_zipped(connect):
    headers = {"Content-Encoding": "gzip"}
    zipped = gzip.compress(b"a" * MOST)
    assert json.loads(ask(connect(), body=zipped, headers=headers)[1])[2] == "a" * MOST
    for broken in (b"no gzip", zipped[:-9]):
        assert json.loads(ask(connect(), body=broken, headers=headers)[1])[2] == ""
    answer, _ = ask(connect(), body=gzip.compress(b"a" * 100 * MOST), headers=headers)
    assert answer.status == 413


def test_a_body_may_come_in_chunks(connect):
    pieces = iter([b"one", b"two"])
    answer, body = ask(connect(), body=pieces, encode_chunked=True)
    assert answer.status == 200 and json.loads(body)[2] == "onetwo"
    answer, _ = ask(connect(), body=iter([b"a" * 600] * 2), encode_chunked=True)
    assert answer.status == 413


def test_a_body_that_is_too_large_is_refused(connect):
    answer, body = ask(connect(), body=b"a" * (MOST + 1))
    assert answer.status == 413 and answer.will_close
    assert json.loads(body) == {"error": "The body must not have more than 1000 bytes"}
    assert ask(connect(), body=b"a" * MOST)[0].status == 200


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        (b"Content-Length: -5", "Malformed Content-Length: -5"),
        (b"Content-Length: ten", "Malformed Content-Length: ten"),
        (b"Content-Length: 10", "The body ended after 3 of 10 bytes"),
        (b"Transfer-Encoding: zip", "Unsupported Transfer-Encoding: zip"),
        (b"Transfer-Encoding: chunked", "Malformed chunk"),
    ],
)
def test_a_body_that_is_none_is_refused(server, headers, message):
    found = raw(server, b"POST / HTTP/1.1\r\n" + headers + b"\r\n\r\nxyz")
    assert found.startswith(b"HTTP/1.1 400 ") and b"Connection: close" in found
    assert json.loads(found.partition(b"\r\n\r\n")[2]) == {"error": message}


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/x\r\n\r\n", 400),
        (b"BREW /pot HTTP/1.1\r\n\r\n", 501),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", 431),
        (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n", 400),
    ],
)
def test_what_is_no_http_is_refused(server, content, status):
    found = raw(server, content)
    assert b" %d " % status in found[:30] or b"\n" in found
    assert raw(server, b"GET /x HTTP/1.1\r\nConnection: close\r\n\r\n").endswith(b'"/x", ""]')


def test_a_head_has_no_body_and_a_path_may_name_the_host(server, connect):
    answer, body = ask(connect(), "HEAD", "/v1/x")
    assert answer.status == 200 and body == b""
    found = raw(server, "GET http://host:1/v1/词?z HTTP/1.0\r\n\r\n".encode())
    assert json.loads(found.partition(b"\r\n\r\n")[2]) == ["GET", "/v1/词?z", ""]


def test_a_client_that_goes_away_hurts_nobody(server, connect):
    with socket.create_connection(("127.0.0.1", server.server_port)) as client:
        client.sendall(b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc")
    assert ask(connect())[0].status == 200


def test_at_the_end_what_was_sent_is_answered(connect):
    echo = Echo()
    server = HttpServer(("127.0.0.1", 0), echo, MOST)
    server.start()
    idle, busy, late = connect(server), connect(server), connect(server)
    assert ask(idle)[0].status == ask(late)[0].status == 200
    echo.asked.clear()
    busy.request("GET", "/wait")
    assert echo.asked.wait(20)
    stopping = threading.Thread(target=server.stop, args=(20,))
    stopping.start()
    while not server.draining:
        time.sleep(0.005)
    answer, _ = ask(late)  # sent on a connection that was still open
    assert answer.status == 200 and answer.will_close
    echo.go.set()
    answer = busy.getresponse()
    assert answer.status == 200 and json.loads(answer.read())[1] == "/wait"
    stopping.join(20)
    assert not stopping.is_alive()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", server.server_port), timeout=5)


def test_at_the_end_a_request_that_takes_too_long_is_left(connect):
    echo = Echo()
    server = HttpServer(("127.0.0.1", 0), echo, MOST)
    server.start()
    busy = connect(server)
    busy.request("GET", "/wait")
    assert echo.asked.wait(20)
    began = time.monotonic()
    server.stop(0.05)
    assert time.monotonic() - began < 10
    echo.go.set()
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        busy.getresponse()


def test_a_client_that_waits_to_be_told_to_send_is_told(server):
    head = b"POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=20) as client:
        client.sendall(head)
        assert client.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"  # before it has the body
        client.sendall(b"ab")
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_a_server_that_was_never_started_can_be_stopped():
    running = HttpServer(("127.0.0.1", 0), Echo(), MOST)
    port = running.server_port
    running.stop(1)
    again = HttpServer(("127.0.0.1", port), Echo(), MOST)  # the port is free again
    assert again.server_port == port
    again.stop(1)


def test_an_address_that_cannot_be_listened_on_is_named(server):
    message = f"The REST address 127.0.0.1:{server.server_port} cannot be listened on: Address alr"
    with pytest.raises(OSError, match=message):
        HttpServer(("127.0.0.1", server.server_port), Echo(), MOST)
