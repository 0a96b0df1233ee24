"""What comes in at a gateway's door: odd requests are answered, bad ones refused, and it goes on serving."""

from __future__ import annotations

import http.client
import json
import re
import socket
import time
from pathlib import Path

import pytest

STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
LAST = b"POST /invocations HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}"
POST = b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}"


def statuses(received):
    return [int(status) for status in STATUS.findall(received)]


@pytest.fixture(autouse=True)
def still_the_same_gateway(door):
    """Nothing that comes in ends the gateway, or keeps it from answering the next one."""
    before = door.describe()["gateway"]["pid"]
    yield
    assert door.ask()[0] == 200
    assert door.describe()["gateway"]["pid"] == before


def test_health_is_the_gateways_own(door):
    connection = door.connect()
    connection.request("GET", "/-/health")
    told = json.loads(connection.getresponse().read())
    connection.close()
    assert told == {"endpoint": "e", "deployments": {"main": {"state": "ready", "ready_replicas": 1}}}


def test_headers_pass_both_ways_but_for_those_of_the_connection(door):
    connection = door.connect()
    headers = {"x-request-id": "7", "te": "trailers", "keep-alive": "timeout=5", "mlinfra-deployment": "main"}
    connection.request("POST", "/invocations?a=b%20c", b"{}", headers)
    reply = connection.getresponse()
    told = json.loads(reply.read())
    connection.close()
    seen = {name.lower(): value for name, value in told["headers"].items()}
    assert told["path"] == "/invocations?a=b%20c"
    assert seen["x-request-id"] == "7"
    assert not {"te", "keep-alive", "mlinfra-deployment", "connection", "transfer-encoding"} & set(seen)
    assert reply.getheader("x-own") == "kept"
    assert reply.getheader("mlinfra-deployment") == "main"


def test_answers_without_a_length_arrive_whole(door):
    for route, expected in (("/chunks", b"onetwo"), ("/until-close", b"all of it")):
        connection = door.connect()
        for _ in range(2):
            connection.request("POST", route, b"{}")
            reply = connection.getresponse()
            assert reply.getheader("transfer-encoding") == "chunked"
            assert reply.read() == expected
        connection.close()


def test_a_caller_of_an_older_protocol_gets_no_chunks(door):
    received = door.raw(b"POST /chunks HTTP/1.0\r\ncontent-length: 2\r\n\r\n{}")
    head, _, body = received.partition(b"\r\n\r\n")
    assert statuses(head) == [200]
    assert b"transfer-encoding" not in head.lower()
    assert body == b"onetwo"


def test_half_an_answer_is_not_passed_off_as_whole(door):
    connection = door.connect()
    connection.request("POST", "/half", b"{}")
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        connection.getresponse().read()
    connection.close()


def test_head_has_no_body(door):
    connection = door.connect()
    for path in ("/x", "/-/health"):
        connection.request("HEAD", path)
        reply = connection.getresponse()
        assert (reply.status, reply.read()) == (200, b"")
    connection.close()


def test_requests_on_one_connection_are_answered_in_their_order(door):
    paths = [b"/%d" % number for number in range(40)]
    requests = b"".join(POST.replace(b"/invocations", path) for path in paths)
    received = door.raw(requests + LAST)
    assert statuses(received) == [200] * 41
    assert re.findall(rb'"path": "(/\d+)"', received) == paths


def test_a_chunked_request_arrives_whole(door):
    head = b"POST /x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    received = door.raw(head, b"5\r\nhello\r\n", b"6\r\n world\r\n0\r\nx-late: 1\r\n\r\n", pause=0.05)
    told = json.loads(received.partition(b"\r\n\r\n")[2])
    assert told["size"] == 11
    assert "x-late" not in {name.lower() for name in told["headers"]}


def test_a_caller_that_asks_whether_it_may_send_is_told(door):
    with socket.create_connection(("127.0.0.1", door.port), timeout=10) as connection:
        connection.sendall(POST.replace(b"\r\n\r\n{}", b"\r\nexpect: 100-continue\r\n\r\n"))
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"{}")
        assert statuses(connection.recv(65536)) == [200]


def test_a_caller_that_closes_its_side_gets_its_answer(door):
    with socket.create_connection(("127.0.0.1", door.port), timeout=10) as connection:
        connection.sendall(POST)
        connection.shutdown(socket.SHUT_WR)
        assert statuses(connection.recv(65536)) == [200]


def test_a_caller_that_leaves_harms_nobody(door):
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", door.port), timeout=10) as connection:
            connection.sendall(POST)


def test_a_body_may_be_as_large_as_the_limit_and_no_larger(door):
    at_limit, above = b"x" * 100_000, b"x" * 100_001
    connection = door.connect()
    connection.request("POST", "/x", at_limit)
    assert json.loads(connection.getresponse().read())["size"] == 100_000
    connection.request("POST", "/x", above)
    reply = connection.getresponse()
    assert reply.status == 413
    assert "100000" in json.loads(reply.read())["error"]["message"]
    connection.close()
    chunked = b"POST /x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n" % len(above) + above
    assert statuses(door.raw(chunked)) == [413]
    assert statuses(door.raw(b"POST /x HTTP/1.1\r\ncontent-length: 99999999999999\r\n\r\n")) == [413]


REFUSED = {
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a word": b"hello\r\n\r\n",
    "zeros": b"\x00" * 1000,
    "no version": b"GET /\r\n\r\n",
    "another version": b"GET / HTTP/9.9\r\n\r\n",
    "a method that is none": b"G@T / HTTP/1.1\r\n\r\n",
    "a blank in the target": b"GET /a b HTTP/1.1\r\nhost: x\r\n\r\n",
    "a header without a colon": b"GET / HTTP/1.1\r\nnonsense\r\n\r\n",
    "a header without a name": b"GET / HTTP/1.1\r\n: x\r\n\r\n",
    "a blank before the colon": b"GET / HTTP/1.1\r\nhost : x\r\n\r\n",
    "a zero in a header": b"GET / HTTP/1.1\r\nhost: a\x00b\r\n\r\n",
    "a bare line end in a header": b"GET / HTTP/1.1\r\nx: a\nb: c\r\n: d\r\n\r\n",
    "a length that is no number": b"POST / HTTP/1.1\r\ncontent-length: ten\r\n\r\n",
    "a negative length": b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
    "a length beyond all numbers": b"POST / HTTP/1.1\r\ncontent-length: 99999999999999999999999999\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}x",
    "a length and chunks": b"POST / HTTP/1.1\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks spelt otherwise": b"POST / HTTP/1.1\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunks not last": b"POST / HTTP/1.1\r\ntransfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "a chunk's length that is none": b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "a chunk's length beyond all numbers": b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n%s\r\n" % (b"f" * 40),
    "a chunk without its end": b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}x\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("request_", REFUSED.values(), ids=REFUSED)
def test_what_is_no_request_is_refused(door, request_):
    assert statuses(door.raw(request_)) == [400]


def test_a_head_beyond_all_measure_is_refused(door):
    many = b"".join(b"x-%d: y\r\n" % number for number in range(300))
    assert statuses(door.raw(b"GET / HTTP/1.1\r\n" + many + b"\r\n")) == [431]
    long = b"GET / HTTP/1.1\r\nx: " + b"y" * 70_000 + b"\r\n\r\n"
    assert statuses(door.raw(long)) == [431]
    assert statuses(door.raw(b"GET /" + b"y" * 70_000 + b" HTTP/1.1\r\n\r\n")) == [431]


def test_a_head_without_an_end_costs_no_memory(door):
    pid = door.describe()["gateway"]["pid"]
    before = resident(pid)
    received = door.raw(b"GET / HTTP/1.1\r\nx: ", *[b"y" * 100_000] * 200)
    assert statuses(received) in ([431], [])  # who goes on sending may miss the answer
    assert resident(pid) - before < 8 << 20


def test_what_follows_a_refusal_is_not_taken_for_a_request(door):
    smuggled = b"POST / HTTP/1.1\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n" + LAST
    assert statuses(door.raw(smuggled)) == [400]


def test_a_refusal_waits_for_the_answers_before_it(door):
    assert statuses(door.raw(POST + b"\x00\x00\x00\x00")) == [200, 400]


def test_many_connections_at_once_are_answered(door):
    connections = [socket.create_connection(("127.0.0.1", door.port), timeout=20) for _ in range(300)]
    for connection in connections:
        connection.sendall(POST)
    for connection in connections:
        assert statuses(connection.recv(65536)) == [200]
        connection.close()


def test_a_caller_that_reads_slowly_is_waited_for_and_costs_no_memory(door):
    pid = door.describe()["gateway"]["pid"]
    before = resident(pid)
    with socket.create_connection(("127.0.0.1", door.port), timeout=10) as connection:
        connection.sendall(LAST.replace(b"/invocations", b"/big"))
        time.sleep(0.5)
        assert resident(pid) - before < 8 << 20
        received = 0
        while data := connection.recv(1 << 20):
            received += len(data)
    assert received > 64 << 20
    assert resident(pid) - before < 16 << 20


def test_an_upgrade_is_not_accepted(door):
    upgrade = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
    started = time.monotonic()
    assert statuses(door.raw(upgrade)) == [200]
    assert time.monotonic() - started < 5


def resident(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
