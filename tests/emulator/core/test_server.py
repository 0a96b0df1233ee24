"""The HTTP server: connections kept, bodies streamed, connections cut."""

from __future__ import annotations

import hashlib
import http.client
import logging
import resource
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import urllib3

from mlinfra.emulator.calls import Cut
from mlinfra.emulator.certificates import certify
from mlinfra.emulator.server import HttpServer

if TYPE_CHECKING:
    from collections.abc import Callable

PIECE = 1 << 20


def app(environ: dict[str, Any], start: Callable[..., Any]):
    """Paths name what is to happen."""
    path, body = environ["PATH_INFO"], environ["wsgi.input"]
    if path == "/cut":
        body.read()
        raise Cut
    if path == "/cut-late":
        start("200 OK", [("Content-Length", "1000")])
        return _then_cut()
    if path == "/fault":
        raise FileNotFoundError(path)
    if path == "/ignore":
        text = b"not read"
    elif path == "/sum":
        digest = hashlib.sha256()
        while piece := body.read(PIECE):
            digest.update(piece)
        text = digest.hexdigest().encode()
    elif path == "/stream":
        start("200 OK", [])
        return (b"x" * 1000 for _ in range(100))
    elif path == "/none":
        start("204 No Content", [])
        return []
    elif path == "/environ":
        text = repr({key: value for key, value in environ.items() if isinstance(value, str)}).encode()
    else:
        text = environ["REQUEST_METHOD"].encode() + b" " + path.encode("latin-1") + b" " + body.read()
    start("200 OK", [("Content-Length", str(len(text)))])
    return [text]


def _then_cut():
    yield b"begun"
    raise Cut


@pytest.fixture(scope="module")
def server():
    with HttpServer(app) as running:
        yield running


@pytest.fixture
def connection(server: HttpServer):
    opened = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    yield opened
    opened.close()


def ask(connection: http.client.HTTPConnection, *arguments: Any, **options: Any) -> bytes:
    connection.request(*arguments, **options)
    return connection.getresponse().read()


def raw(server: HttpServer, text: bytes) -> bytes:
    """All that comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as opened:
        opened.sendall(text)
        seen = b""
        while piece := opened.recv(65536):
            seen += piece
    return seen


def test_it_listens_on_loopback_alone(server: HttpServer):
    assert server.url == f"http://127.0.0.1:{server.port}"
    bound = server._server.server_address
    assert bound[0] == "127.0.0.1"


def test_a_connection_carries_many_requests(connection: http.client.HTTPConnection):
    assert ask(connection, "GET", "/a%20b/%C3%BC?x=1") == "GET /a b/ü ".encode()
    first = connection.sock
    assert ask(connection, "POST", "/p", b"body") == b"POST /p body"
    assert ask(connection, "DELETE", "/d") == b"DELETE /d "
    assert ask(connection, "PATCH", "/none") == b""
    assert connection.sock is first


def test_a_body_that_nobody_reads_spoils_no_connection(connection: http.client.HTTPConnection):
    assert ask(connection, "PUT", "/ignore", b"x" * 300_000) == b"not read"
    first = connection.sock
    assert ask(connection, "GET", "/next") == b"GET /next "
    assert connection.sock is first


def test_chunks_come_in_and_go_out(connection: http.client.HTTPConnection):
    parts = [b"a" * 70_000, b"b", b"c" * 3]
    assert ask(connection, "POST", "/sum", iter(parts), encode_chunked=True).decode() == (
        hashlib.sha256(b"".join(parts)).hexdigest()
    )
    assert ask(connection, "GET", "/stream") == b"x" * 100_000
    assert ask(connection, "GET", "/next") == b"GET /next "


def test_a_head_has_no_body(connection: http.client.HTTPConnection):
    connection.request("HEAD", "/x")
    response = connection.getresponse()
    assert (response.read(), response.headers["Content-Length"]) == (b"", "8")
    assert ask(connection, "GET", "/next") == b"GET /next "


def test_a_client_that_waits_for_leave_gets_it(server: HttpServer):
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as opened:
        opened.sendall(b"PUT /p HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        assert opened.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        opened.sendall(b"body")
        assert b"PUT /p body" in opened.recv(1000)


@pytest.mark.parametrize("path", ["/cut", "/cut-late"])
def test_a_cut_closes_the_connection_without_an_answer(connection: http.client.HTTPConnection, path: str):
    with pytest.raises((http.client.RemoteDisconnected, http.client.IncompleteRead, ConnectionResetError)):
        ask(connection, "POST", path, b"body")


def test_a_cut_says_nothing_at_all(server: HttpServer):
    assert raw(server, b"POST /cut HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody") == b""
    assert raw(server, b"GET /cut-late HTTP/1.1\r\n\r\n") == b""


def test_an_old_client_is_answered_and_let_go(server: HttpServer):
    seen = raw(server, b"GET /stream HTTP/1.0\r\n\r\n")
    assert seen.startswith(b"HTTP/1.1 200 OK\r\n")
    assert seen.endswith(b"\r\n\r\n" + b"x" * 100_000)


def test_a_fault_of_the_application_is_500_and_logged(connection: http.client.HTTPConnection, caplog):
    with caplog.at_level(logging.ERROR):
        connection.request("GET", "/fault")
        response = connection.getresponse()
        assert (response.status, b"fault of its own" in response.read()) == (500, True)
    assert "FileNotFoundError" in caplog.text
    assert ask(connection, "GET", "/next") == b"GET /next "


@pytest.mark.parametrize(
    "text",
    [
        b"GET / NOTHING/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    ],
)
def test_what_is_no_request_is_400(server: HttpServer, text: bytes):
    assert b"400" in raw(server, text)


def test_a_body_that_ends_early_harms_nobody_else(server: HttpServer, connection: http.client.HTTPConnection):
    with socket.create_connection(("127.0.0.1", server.port)) as opened:
        opened.sendall(b"POST /p HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf")
    assert ask(connection, "GET", "/next") == b"GET /next "


def test_headers_reach_the_application(connection: http.client.HTTPConnection):
    seen = ask(connection, "GET", "/environ", headers={"X-Amz-Target": "a.b", "X_Amz_Target": "evil"}).decode()
    assert "'HTTP_X_AMZ_TARGET': 'a.b'" in seen
    assert "evil" not in seen


@pytest.mark.slow
def test_a_body_of_gigabytes_is_never_held(server: HttpServer):
    pieces = 1200
    block = bytes(range(256)) * (PIECE // 256)
    digest = hashlib.sha256()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def parts():
        for _ in range(pieces):
            digest.update(block)
            yield block

    opened = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    answer = ask(opened, "PUT", "/sum", parts(), headers={"Content-Length": str(pieces * PIECE)})
    opened.close()
    assert answer.decode() == digest.hexdigest()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


@pytest.mark.thorough
def test_it_carries_400_small_requests_a_second_over_16_connections(server: HttpServer):
    count = 50

    def work(_number: int) -> None:
        opened = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        for _ in range(count):
            assert ask(opened, "POST", "/p", b"{}") == b"POST /p {}"
        opened.close()

    with ThreadPoolExecutor(16) as pool:
        begin = time.process_time()
        list(pool.map(work, range(16)))
        spent = time.process_time() - begin
    assert 16 * count / spent > 400  # of this process's processor time, client included


def test_stopping_closes_open_connections_and_the_port():
    running = HttpServer(app).start()
    opened = http.client.HTTPConnection("127.0.0.1", running.port, timeout=20)
    assert ask(opened, "GET", "/x") == b"GET /x "
    port = running.port
    running.stop()
    running.stop()
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        ask(opened, "GET", "/x")
    opened.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_a_port_may_be_chosen_and_taken_once():
    with HttpServer(app) as running:
        second = HttpServer(app, port=running.port)
        with pytest.raises(OSError, match="in use"):
            second.start()


def test_tls_with_an_authority_of_its_own(tmp_path):
    certificates = certify(tmp_path / "tls", ["emulated.invalid"])
    assert certificates.key.stat().st_mode & 0o077 == 0
    with HttpServer(app, tls=certificates.server_context()) as running:
        with urllib3.PoolManager(ca_certs=str(certificates.authority), retries=False) as trusting:
            for host in ("localhost", "127.0.0.1"):
                seen = trusting.request("POST", f"https://{host}:{running.port}/p", body=b"body")
                assert seen.data == b"POST /p body"
            with pytest.raises(urllib3.exceptions.ProtocolError):
                trusting.request("GET", f"{running.url}/cut")
        with urllib3.PoolManager(retries=False) as doubting, pytest.raises(urllib3.exceptions.SSLError):
            doubting.request("GET", f"{running.url}/x")


def test_a_client_that_never_shakes_hands_blocks_nobody(tmp_path):
    certificates = certify(tmp_path / "tls")
    with (
        HttpServer(app, tls=certificates.server_context()) as running,
        socket.create_connection(("127.0.0.1", running.port)),
        urllib3.PoolManager(ca_certs=str(certificates.authority), retries=False) as trusting,
    ):
        assert trusting.request("GET", f"{running.url}/x").data == b"GET /x "
    assert threading.active_count() < 100
