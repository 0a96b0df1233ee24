"""A WSGI application over HTTP/1.1 on loopback: a thread per connection, connections kept, bodies streamed."""

from __future__ import annotations

import io
import logging
import socket
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from ssl import SSLError
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import unquote_to_bytes

from mlinfra.emulator.bodies import Body, body_of
from mlinfra.emulator.calls import Cut

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable
    from wsgiref.types import WSGIApplication, WSGIEnvironment

LOOPBACK = "127.0.0.1"
_BUFFER = 64 * 1024  # bytes
_IDLE = 300.0  # s until a silent connection is closed
_log = logging.getLogger(__name__)


class HttpServer:
    """Serves an application on 127.0.0.1 alone. `Cut`, raised by the application, closes the connection unanswered."""

    def __init__(self, app: WSGIApplication, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        self._app = app
        self._tls = tls
        self._port = port
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port that it listens on; the one asked for before it has started."""
        return int(self._server.server_address[1]) if self._server else self._port

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"{'https' if self._tls else 'http'}://{LOOPBACK if not self._tls else 'localhost'}:{self.port}"

    def start(self) -> Self:
        """Listen and serve until `stop`. OSError where the port is taken."""
        self._server = _Server(self._app, self._tls, self._port)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="http", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Close the port and every connection. Safe to repeat."""
        if self._server and self._thread:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server.close_connections()
        self._server = self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_exc: object) -> None:
        self.stop()


class _Server(ThreadingMixIn, TCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, app: WSGIApplication, tls: ssl.SSLContext | None, port: int) -> None:
        self.app = app
        self.tls = tls
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__((LOOPBACK, port), _Handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve one connection to its end; the TLS handshake is made in its own thread."""
        if self.tls:
            request.settimeout(_IDLE)
            request = self.tls.wrap_socket(request, server_side=True)
        with self._lock:
            self._open.add(request)
        try:
            super().finish_request(request, client_address)
        finally:
            with self._lock:
                self._open.discard(request)
            if self.tls:
                request.close()  # socketserver knows the socket beneath alone

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002  socketserver's signature
        """A connection that the client broke is nobody's fault; all else is ours and is logged."""
        if not isinstance(sys.exception(), (ConnectionError, TimeoutError, SSLError)):
            _log.exception("a connection ended in a fault of the server")

    def close_connections(self) -> None:
        """End what is still open."""
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _IDLE
    disable_nagle_algorithm = True
    wbufsize = _BUFFER
    server: _Server

    def handle_one_request(self) -> None:
        """Read one request and answer it."""
        self.close_connection = True
        try:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or not self.parse_request():
                return
            self._answer()
            self.wfile.flush()
        except (Cut, TimeoutError):
            self.close_connection = True
            with suppress(OSError):  # the client may have gone as well
                self.connection.shutdown(socket.SHUT_RDWR)  # what is still to be written goes nowhere

    def handle_expect_100(self) -> bool:
        """Let the client send its body at once."""
        self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.wfile.flush()
        return True

    def _answer(self) -> None:
        response = _Response(self)
        try:
            body = body_of(self.headers, self.rfile)
        except ValueError as exc:
            response.fail("400 Bad Request", str(exc))
            return
        try:
            parts = self.server.app(self._environ(body), response.start)
            try:
                response.send(parts)
            finally:
                close: Callable[[], None] | None = getattr(parts, "close", None)
                if close:
                    close()
        except (Cut, ConnectionError, TimeoutError):
            raise
        except Exception:  # noqa: BLE001  whatever the application did, the client gets an answer and the log a trace
            _log.exception("%s %s met a fault of the application", self.command, self.path)
            response.fail("500 Internal Server Error", "the emulator met a fault of its own; its log tells more")
        if not body.drain():
            self.close_connection = True

    def _environ(self, body: Body) -> WSGIEnvironment:
        path, _, query = self.path.partition("?")
        host, port = self.server.server_address[:2]
        environ: WSGIEnvironment = {
            "REQUEST_METHOD": self.command,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query,
            "RAW_URI": self.path,
            "REQUEST_URI": self.path,
            "SERVER_NAME": str(host),
            "SERVER_PORT": str(port),
            "SERVER_PROTOCOL": self.request_version,
            "REMOTE_ADDR": self.client_address[0],
            "REMOTE_PORT": str(self.client_address[1]),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "https" if self.server.tls else "http",
            "wsgi.input": io.BufferedReader(body, _BUFFER),
            "wsgi.input_terminated": True,
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in self.headers.items():
            if "_" in name:
                continue  # it would be taken for the header with a dash
            key = name.upper().replace("-", "_")
            key = key if key in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{key}"
            environ[key] = f"{environ[key]},{value}" if key in environ else value
        return environ

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  http.server's signature
        """Say nothing: calls are counted in the ledger."""


class _Response:
    """One answer on its way out."""

    def __init__(self, handler: _Handler) -> None:
        self._handler = handler
        self._status = ""
        self._headers: list[tuple[str, str]] = []
        self._sent = False
        self._chunked = False

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
        if exc_info and self._sent:
            raise exc_info[1]
        self._status, self._headers = status, headers
        return self._write

    def send(self, parts: Iterable[bytes]) -> None:
        for part in parts:
            if part:
                self._write(part)
        if not self._sent:
            self._head()
        if self._chunked:
            self._handler.wfile.write(b"0\r\n\r\n")

    def fail(self, status: str, text: str) -> None:
        """Tell of a fault, where the head is not out yet, and close the connection."""
        self._handler.close_connection = True
        if not self._sent:
            told = f"{text}\n".encode()
            self.start(status, [("Content-Length", str(len(told))), ("Content-Type", "text/plain; charset=utf-8")])
            self._write(told)

    def _write(self, part: bytes) -> None:
        if not self._sent:
            self._head()
        if self._handler.command == "HEAD":
            return
        if self._chunked:
            self._handler.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
        else:
            self._handler.wfile.write(part)

    def _head(self) -> None:
        handler = self._handler
        code, _, reason = self._status.partition(" ")
        handler.send_response_only(int(code), reason)
        names = {name.lower() for name, _ in self._headers}
        for name, value in self._headers:
            handler.send_header(name, value)
        if "date" not in names:
            handler.send_header("Date", handler.date_time_string())
        bodiless = handler.command == "HEAD" or code in {"204", "304"}
        if "content-length" not in names and not bodiless:
            self._chunked = handler.request_version != "HTTP/1.0"
            handler.close_connection |= not self._chunked
            if self._chunked:
                handler.send_header("Transfer-Encoding", "chunked")
        if handler.close_connection:
            handler.send_header("Connection", "close")
        handler.end_headers()
        self._sent = True
