"""HTTP/1.1 for the REST API: a thread a connection, requests whole and of a limited size."""

import http
import http.server
import logging
import re
import socket
import socketserver
import threading
import time
import zlib
from collections.abc import Callable
from typing import Any

from tflm.serving import rest_responses
from tflm.serving.rest import Answer

_log = logging.getLogger("tflm.serving")
_IDLE_SECONDS = 60.0  # that a client may keep a connection without a request
_GRACE_SECONDS = 1.0  # that a client has for a request on a connection that is about to end
_CHUNK = 2**16
_LINE = 2**16
_HOST = re.compile("^https?://[^/]*", re.IGNORECASE)


class HttpServer(http.server.ThreadingHTTPServer):
    """Listens, and hands each request to a function.

    Args:
        address: host and port; port 0 for a free one.
        answer: gets verb, path and body.
        max_bytes: a body that is larger is refused with status 413.

    Raises:
        OSError: the address is taken.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 512

    def __init__(
        self,
        address: tuple[str, int],
        answer: Callable[[str, str, bytes], Answer],
        max_bytes: int,
    ):
        self.answer = answer
        self.max_bytes = max_bytes
        self.draining = False
        self._connections: set[socket.socket] = set()
        self._changed = threading.Condition()
        self._thread = threading.Thread(
            target=self.serve_forever, args=(0.05,), name="rest", daemon=True
        )
        try:
            super().__init__(address, _Handler)
        except OSError as error:
            host, port = address[:2]
            raise OSError(
                f"The REST address {host}:{port} cannot be listened on: {error.strerror}."
            ) from error

    def server_bind(self) -> None:
        """Binds without asking for the host's full name, which may take seconds."""
        socketserver.TCPServer.server_bind(self)
        host, self.server_port = self.server_address[:2]
        self.server_name = str(host)

    def start(self) -> None:
        """Listens in a thread of its own."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Ends after the requests that have been sent are answered.

        Args:
            seconds: that these may take.
        """
        if self._thread.ident is None:  # it was never started
            self.server_close()
            return
        deadline = time.monotonic() + seconds
        self.draining = True  # from now on each answer is the last of its connection
        self.shutdown()
        self._thread.join()
        self._accept_pending()
        self.socket.close()
        with self._changed:
            # A client may have sent a request without having heard that the connection ends.
            self._changed.wait_for(lambda: not self._connections, _GRACE_SECONDS)
            for connection in self._connections:
                _shut(connection, socket.SHUT_RD)
            self._changed.wait_for(
                lambda: not self._connections, max(0.0, deadline - time.monotonic())
            )
            for connection in self._connections:
                _shut(connection, socket.SHUT_RDWR)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Starts the thread of a connection."""
        with self._changed:
            self._connections.add(request)
        threading.Thread(
            target=self.process_request_thread, args=(request, client_address), daemon=True
        ).start()

    def shutdown_request(self, request: Any) -> None:
        """Ends a connection."""
        super().shutdown_request(request)
        with self._changed:
            self._connections.discard(request)
            self._changed.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that breaks is the client's affair."""
        _log.debug("The connection of %s broke.", client_address, exc_info=True)

    def _accept_pending(self) -> None:
        """Takes the connections that the system has accepted already.

        Those that come meanwhile are no reason to go on for ever: clients that are told to close
        open the next one at once.
        """
        self.socket.listen(0)
        self.socket.setblocking(False)
        for _ in range(self.request_queue_size):
            try:
                request, client_address = self.socket.accept()
            except OSError:  # nobody waits any more
                return
            request.setblocking(True)
            self.process_request(request, client_address)


class _TooLarge(Exception):
    pass


class _Broken(Exception):
    pass


class _Handler(http.server.BaseHTTPRequestHandler):
    """The requests of one connection."""

    protocol_version = "HTTP/1.1"
    server_version = "tflm"
    sys_version = ""
    timeout = _IDLE_SECONDS
    disable_nagle_algorithm = True
    wbufsize = -1  # an answer is one write
    server: HttpServer

    def handle_expect_100(self) -> bool:
        """Tells a client that waits with its body to send it, before there is an answer."""
        known = super().handle_expect_100()
        self.wfile.flush()
        return known

    def _respond(self) -> None:
        try:
            body = self._body()
        except _TooLarge:
            self.close_connection = True
            limit = f"The body must not have more than {self.server.max_bytes} bytes"
            self._send(Answer(413, rest_responses.error(limit)))
            self._discard()
            return
        except _Broken as broken:
            self.close_connection = True
            self._send(Answer(400, rest_responses.error(str(broken))))
            return
        path = _HOST.sub("", self.path).encode("latin-1").decode("utf-8", "surrogateescape")
        self._send(self.server.answer(self.command, path, body))

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = do_TRACE = _respond

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        if self.server.draining:
            self.close_connection = True
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)
        self.wfile.flush()

    def _body(self) -> bytes:
        encoding = self.headers.get("Transfer-Encoding", "")
        if encoding.lower() == "chunked":
            body = self._chunks()
        elif encoding:
            raise _Broken(f"Unsupported Transfer-Encoding: {encoding}")
        else:
            body = self._read(self._content_length())
        if "gzip" in self.headers.get("Content-Encoding", ""):
            return self._unzipped(body)
        return body

    def _content_length(self) -> int:
        text = self.headers.get("Content-Length", "0").strip()
        if not text.isascii() or not text.isdigit():
            raise _Broken(f"Malformed Content-Length: {text}")
        if len(text) > 18 or int(text) > self.server.max_bytes:
            raise _TooLarge
        return int(text)

    def _chunks(self) -> bytes:
        found = bytearray()
        while True:
            line = self.rfile.readline(_LINE).split(b";")[0].strip()
            try:
                size = int(line, 16)
            except ValueError as error:
                raise _Broken("Malformed chunk") from error
            if size < 0 or len(found) + size > self.server.max_bytes:
                raise _TooLarge
            if not size:
                break
            found += self._read(size)
            if self.rfile.readline(_LINE).strip():
                raise _Broken("Malformed chunk")
        while self.rfile.readline(_LINE).strip():  # trailers
            pass
        return bytes(found)

    def _read(self, size: int) -> bytes:
        found = self.rfile.read(size)
        if len(found) < size:
            raise _Broken(f"The body ended after {len(found)} of {size} bytes")
        return found

    def _unzipped(self, body: bytes) -> bytes:
        """The body; nothing where it is not gzip, which is an empty document then."""
        reader = zlib.decompressobj(16 + zlib.MAX_WBITS)
        try:
            found = reader.decompress(body, self.server.max_bytes + 1)
        except zlib.error:
            return b""
        if len(found) > self.server.max_bytes:
            raise _TooLarge
        return found if reader.eof else b""

    def _discard(self) -> None:
        """Reads what the client is still sending: it would not read the answer otherwise."""
        self.connection.settimeout(_GRACE_SECONDS)
        left = 8 * self.server.max_bytes
        try:
            while left > 0 and (piece := self.rfile.read1(_CHUNK)):
                left -= len(piece)
        except OSError:
            pass

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """A request that is no HTTP."""
        self.close_connection = True
        phrase = message or http.HTTPStatus(code).phrase
        self._send(Answer(int(code), phrase.encode("ascii", "replace") + b"\n", "text/plain"))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the name it overrides
        """A line for each request, for who wants to see them."""
        _log.debug("%s %s", self.client_address[0], format % args)


def _shut(connection: socket.socket, how: int) -> None:
    try:
        connection.shutdown(how)
    except OSError:  # it has ended meanwhile
        pass
