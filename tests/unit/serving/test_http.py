"""HTTP itself: order, limits, deadlines, and that nothing malformed is answered with silence or gets past."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

BODY = b'{"instances":[[1,0,0,0]]}'
GOOD = b"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
PING = b"GET /ping HTTP/1.1\r\nHost: a\r\n\r\n"


def post(*headers: bytes, body: bytes = BODY, host: bytes = b"Host: a\r\n", version: bytes = b"1.1") -> bytes:
    lines = b"".join(header + b"\r\n" for header in headers)
    return b"POST /invocations HTTP/%b\r\n%b%b\r\n%b" % (version, host, lines, body)


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + end
    return post(b"Transfer-Encoding: chunked", body=body)


CHUNKED = b"Transfer-Encoding: chunked"
LENGTH = b"Content-Length: %d" % len(BODY)
SMUGGLED = b"GET /metadata HTTP/1.1\r\nHost: a\r\n\r\n"

# name: (bytes, status); after each, the connection ends
MALFORMED: dict[str, tuple[bytes, int]] = {
    "length and chunks": (post(LENGTH, b"Transfer-Encoding: chunked", body=b"0\r\n\r\n" + SMUGGLED), 400),
    "chunks and length": (post(b"Transfer-Encoding: chunked", LENGTH, body=b"0\r\n\r\n" + SMUGGLED), 400),
    "two lengths that differ": (post(LENGTH, b"Content-Length: 3"), 400),
    "two equal lengths": (post(LENGTH, LENGTH), 400),
    "list of lengths": (post(b"Content-Length: 25, 25"), 400),
    "length with plus": (post(b"Content-Length: +25"), 400),
    "negative length": (post(b"Content-Length: -1"), 400),
    "hexadecimal length": (post(b"Content-Length: 0x19"), 400),
    "length with blank": (post(b"Content-Length: 2 5"), 400),
    "length beyond 64 bits": (post(b"Content-Length: 99999999999999999999999"), 400),
    "empty length": (post(b"Content-Length:"), 400),
    "length in words": (post(b"Content-Length: ten"), 400),
    "unknown transfer encoding": (post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"), 501),
    "chunked not last": (post(b"Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n"), 400),
    "gzip before chunked": (post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"), 501),
    "two transfer encodings": (post(CHUNKED, b"Transfer-Encoding: identity", body=b"0\r\n\r\n"), 400),
    "chunked twice": (post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"), 400),
    "vertical tab before chunked": (post(b"Transfer-Encoding:\x0bchunked", body=b"0\r\n\r\n"), 400),
    "chunks in HTTP/1.0": (post(b"Transfer-Encoding: chunked", body=b"0\r\n\r\n", version=b"1.0"), 400),
    "blank before colon": (post(b"Content-Length : 25"), 400),
    "folded header": (post(LENGTH, b"X: a\r\n b"), 400),
    "folded first header": (b"GET /ping HTTP/1.1\r\n X: a\r\nHost: a\r\n\r\n", 400),
    "bare line feeds": (b"GET /ping HTTP/1.1\nHost: a\n\n", 400),
    "bare line feed after a header": (b"GET /ping HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400),
    "bare carriage return": (b"GET /ping HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", 400),
    "nul in a header": (b"GET /ping HTTP/1.1\r\nHost: a\x00b\r\n\r\n", 400),
    "nul in a name": (b"GET /ping HTTP/1.1\r\nHo\x00st: a\r\n\r\n", 400),
    "blank in a name": (b"GET /ping HTTP/1.1\r\nHo st: a\r\n\r\n", 400),
    "header without colon": (b"GET /ping HTTP/1.1\r\nHost a\r\n\r\n", 400),
    "no host": (b"GET /ping HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET /ping HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    "two content types": (post(LENGTH, b"Content-Type: text/csv", b"Content-Type: application/json"), 400),
    "chunk size in words": (post(b"Transfer-Encoding: chunked", body=b"ten\r\n"), 400),
    "negative chunk": (post(b"Transfer-Encoding: chunked", body=b"-5\r\nhello\r\n0\r\n\r\n"), 400),
    "chunk with blank": (post(b"Transfer-Encoding: chunked", body=b"5 \r\nhello\r\n0\r\n\r\n"), 400),
    "chunk beyond 64 bits": (post(b"Transfer-Encoding: chunked", body=b"fffffffffffffffff\r\n"), 400),
    "chunk longer than said": (post(b"Transfer-Encoding: chunked", body=b"5\r\nhelloX\r\n0\r\n\r\n"), 400),
    "chunk with bare line feed": (post(b"Transfer-Encoding: chunked", body=b"5\nhello\n0\n\n"), 400),
    "no HTTP": (b"hello\r\n\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "unknown method": (b"BREW /ping HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "lower-case method": (b"get /ping HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "blank in target": (b"GET /pi ng HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "no target": (b"GET HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "raw utf-8 in target": (b"GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "no version": (b"GET /ping\r\n\r\n", 505),
    "HTTP/1.2": (b"GET /ping HTTP/1.2\r\nHost: a\r\n\r\n", 400),
    "HTTP/2.0": (b"GET /ping HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "connect": (b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    "unknown expectation": (post(LENGTH, b"Expect: 200-ok"), 417),
    "long target": (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 431),
    "long header": (b"GET /ping HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20_000 + b"\r\n\r\n", 431),
    "many headers": (PING[:-2] + b"".join(b"X%d: y\r\n" % n for n in range(3000)) + b"\r\n", 431),
    "endless header": (b"GET /ping HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 400_000, 431),
    "endless target": (b"GET /" + b"a" * 400_000, 431),
    "length above the limit": (post(b"Content-Length: 10485761", body=b""), 413),
    "chunk above the limit": (post(b"Transfer-Encoding: chunked", body=b"a00001\r\n" + b"a" * 0xA00001), 413),
    "endless trailer": (chunked(BODY, end=b"0\r\nX: " + b"a" * 2_000_000), 413),
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_requests_are_refused_in_words_and_end_the_connection(numbers: Any, name: str) -> None:
    data, status = MALFORMED[name]
    received = b""
    with numbers.connect() as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(data + PING)
        connection.settimeout(5)
        while piece := receive(connection):
            received += piece
    head, _, body = received.partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 %d " % status), received[:200]
    assert b"connection: close" in head
    assert json.loads(body)["error"]["message"]
    assert received.count(b"HTTP/1.1 ") == 1
    assert numbers.get("/ping").status == 200


def receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(1 << 16)
    except ConnectionResetError:
        return b""


@pytest.mark.parametrize(
    "data",
    [
        GOOD,
        chunked(BODY),
        chunked(BODY[:5], BODY[5:]),
        chunked(*(BODY[index : index + 1] for index in range(len(BODY)))),
        post(b"Transfer-Encoding: Chunked", body=b"%x;ext=1\r\n%b\r\n0\r\nTrailer: x\r\n\r\n" % (len(BODY), BODY)),
        post(LENGTH, version=b"1.0", host=b""),
        b"\r\n\r\n" + GOOD,
        post(LENGTH, b"X-Empty:", b"X-Many: a", b"X-Many: b"),
        post(LENGTH, b"Upgrade: h2c"),
        post(LENGTH, b"Connection: upgrade"),
        post(LENGTH, b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__"),
        post(
            b"Transfer-Encoding: chunked",
            b"Connection: upgrade",
            b"Upgrade: websocket",
            body=b"19\r\n" + BODY + b"\r\n0\r\n\r\n",
        ),
    ],
)
def test_unusual_but_right_requests_are_answered(numbers: Any, data: bytes) -> None:
    received = numbers.raw(data)

    assert received.startswith(b"HTTP/1.1 200 ")
    assert received.endswith(b'{"predictions":[1]}')


@pytest.mark.parametrize("size", [1, 3, 7, 50])
def test_a_request_may_come_in_pieces(numbers: Any, size: int) -> None:
    with numbers.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(GOOD), size):
            connection.sendall(GOOD[start : start + size])
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")


def test_a_connection_serves_many_requests_and_ends_when_asked(numbers: Any) -> None:
    with numbers.connect() as connection:
        for _ in range(5):
            connection.sendall(GOOD)
            assert b"connection:" not in connection.recv(4096)
        connection.sendall(post(LENGTH, b"Connection: close"))
        last = b"".join(iter(lambda: connection.recv(4096), b""))
    assert b"connection: close" in last


def test_http_1_0_keeps_alive_only_when_asked(numbers: Any) -> None:
    with numbers.connect() as connection:
        connection.sendall(post(LENGTH, b"Connection: keep-alive", version=b"1.0"))
        assert b"connection: keep-alive" in connection.recv(4096)
        connection.sendall(post(LENGTH, version=b"1.0"))
        assert b"connection: close" in b"".join(iter(lambda: connection.recv(4096), b""))


def test_pipelined_requests_are_answered_in_order(numbers: Any) -> None:
    bodies = [b'{"instances":[[%d,0,0,0]]}' % sign for sign in (1, -1, -1, 1, -1)]
    pipeline = b"".join(post(b"Content-Length: %d" % len(body), body=body) for body in bodies) + PING
    received = numbers.raw(pipeline)

    answers = [part.partition(b"\r\n\r\n")[2] for part in received.split(b"HTTP/1.1 ")[1:]]
    assert answers == [b'{"predictions":[%d]}' % label for label in (1, 0, 0, 1, 0)] + [b'{"ready":true}']


def test_pipelined_requests_to_a_slow_model_are_answered_in_order(start: Any, packages: Any) -> None:
    waits = [0.05, 0.0, 0.02] + [0.0] * 40
    bodies = [b'{"instances":[[%b]]}' % json.dumps(seconds).encode() for seconds in waits]
    pipeline = b"".join(post(b"Content-Length: %d" % len(body), body=body) for body in bodies) + PING + b"oops"
    with start(packages / "slow") as server:
        received = server.raw(pipeline)

    answers = [part.partition(b"\r\n\r\n")[2] for part in received.split(b"HTTP/1.1 ")[1:]]
    assert answers[:-2] == [b'{"predictions":[%b]}' % json.dumps(seconds).encode() for seconds in waits]
    assert answers[-2] == b'{"ready":true}'
    assert b"malformed HTTP" in answers[-1] or b"unknown method" in answers[-1]


def test_a_half_closed_client_gets_its_answer(numbers: Any) -> None:
    received = numbers.raw(GOOD, half_close=True)

    assert received.endswith(b'{"predictions":[1]}')


def test_a_half_closed_client_of_a_slow_model_gets_its_answer(start: Any, packages: Any) -> None:
    body = b'{"instances":[[0.2]]}'
    with start(packages / "slow") as server:
        received = server.raw(post(b"Content-Length: %d" % len(body), body=body), half_close=True)

    assert received.endswith(b'{"predictions":[0.2]}')


@pytest.mark.parametrize("data", [GOOD[:20], GOOD[:60], GOOD[:-1], chunked(BODY)[:-2], b"G"])
def test_a_client_that_ends_within_a_request_is_told(numbers: Any, data: bytes) -> None:
    received = numbers.raw(data, half_close=True)

    assert received.startswith(b"HTTP/1.1 400 ")
    assert b"ended before it was complete" in received


def test_a_client_that_vanishes_harms_nobody(numbers: Any) -> None:
    for data in (b"", b"P", GOOD[:40], GOOD, GOOD * 50):
        connection = numbers.connect()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        connection.sendall(data)
        connection.close()

    assert numbers.predict([[1, 0, 0, 0]]) == [1]


def test_a_body_is_asked_for_where_the_client_waits(numbers: Any) -> None:
    with numbers.connect() as connection:
        connection.sendall(post(LENGTH, b"Expect: 100-continue", body=b""))
        assert connection.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(BODY)
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")


def test_a_body_that_would_be_refused_is_not_asked_for(numbers: Any) -> None:
    received = numbers.raw(post(b"Content-Length: 99999999", b"Expect: 100-continue", body=b""))

    assert received.startswith(b"HTTP/1.1 413 ")


def test_a_client_that_does_not_read_stops_being_read(numbers: Any) -> None:
    request = b"GET /metadata HTTP/1.1\r\nHost: a\r\n\r\n" * 200
    with numbers.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(0.5)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 50 << 20:
                sent += connection.send(request)
        assert sent < 50 << 20
    assert numbers.get("/ping").status == 200


@pytest.fixture(scope="module")
def hasty(start: Callable[..., Any], packages: Any) -> Any:
    limits = ("header-timeout", "body-timeout", "idle-timeout", "predict-timeout")
    with start(packages / "slow", *(f"--{limit}=0.3" for limit in limits), "--connections=20") as server:
        yield server


@pytest.mark.parametrize("data", [b"GET /pi", b"POST / HTTP/1.1\r\nHost: a\r\n", GOOD[:-3], chunked(BODY)[:-5]])
def test_a_request_that_takes_too_long_is_408(hasty: Any, data: bytes) -> None:
    with hasty.connect() as connection:
        connection.sendall(data)
        received = b"".join(iter(lambda: connection.recv(4096), b""))

    assert received.startswith(b"HTTP/1.1 408 ")
    assert b"RequestTimeout" in received


def test_dripping_bytes_do_not_extend_the_deadline(hasty: Any) -> None:
    started = time.monotonic()
    with hasty.connect() as connection:
        connection.settimeout(0.05)
        received = b""
        for byte in GOOD * 5:
            try:
                connection.sendall(bytes([byte]))
                received += connection.recv(4096)
            except TimeoutError:
                continue
            except (BrokenPipeError, ConnectionResetError):
                break
            if received:
                break
    assert received.startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - started < 5


def test_an_idle_connection_ends_without_a_word(hasty: Any) -> None:
    with hasty.connect() as connection:
        connection.sendall(PING)
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        assert connection.recv(4096) == b""


def test_a_prediction_that_takes_too_long_is_504(hasty: Any) -> None:
    answer = hasty.post({"instances": [[1.2]]})

    assert (answer.status, answer.json["error"]["code"]) == (504, "PredictionTimeout")


def test_too_many_connections_are_told_so(hasty: Any) -> None:
    open_ones = [hasty.connect() for _ in range(20)]
    for connection in open_ones:
        connection.sendall(PING)
        connection.recv(4096)
    with hasty.connect() as one_more:
        assert b"".join(iter(lambda: one_more.recv(4096), b"")).startswith(b"HTTP/1.1 503 ")
    for connection in open_ones:
        connection.close()
