"""Everything in `malformed.json` is refused with a reason, or its connection ends; nothing crashes, nothing grows.

Its texts are bytes in Latin-1; a pair of a text and a number stands for that many of it. A `status` of null is a
connection that ends without an answer. `slow` requests are left unfinished, or `drip` on for ever.
"""

from __future__ import annotations

import json
import select
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

CORPUS = json.loads((Path(__file__).parent / "malformed.json").read_text())
GOOD = {"instances": [{"age": 60, "income": 2000.0, "home": "rent"}]}
ROUNDS = 4
GROWTH = 8 << 20  # bytes, between the second round and the last


@pytest.fixture(scope="module")
def server(start: Any, packages: Path) -> Iterator[Any]:
    limits = ["--header-timeout", "1.5", "--body-timeout", "1.5"]
    with start(packages / "applicants", "--name", "applicants", *limits) as running:
        yield running


def raw(pieces: list[Any]) -> bytes:
    whole = (piece if isinstance(piece, str) else piece[0] * piece[1] for piece in pieces)
    return "".join(whole).encode("latin-1")


def exchange(server: Any, case: dict[str, Any]) -> bytes:
    """What comes back until the server ends the connection."""
    with server.connect() as connection:
        try:
            connection.sendall(raw(case["send"]))
            if case.get("half_close"):
                connection.shutdown(socket.SHUT_WR)
            return receive(connection, case.get("drip", "").encode())
        except (BrokenPipeError, ConnectionResetError):
            return receive(connection, b"")


def receive(connection: socket.socket, drip: bytes) -> bytes:
    received, until = b"", time.monotonic() + 10
    while time.monotonic() < until:
        readable, _, _ = select.select([connection], [], [], 0.1)
        try:
            if readable:
                piece = connection.recv(1 << 16)
                if not piece:
                    return received
                received += piece
            elif drip:
                connection.sendall(drip)
            elif b"\r\n\r\n" in received and b"connection: close" not in received:
                return received  # the connection may go on
        except (BrokenPipeError, ConnectionResetError):
            return received
    raise AssertionError(f"the connection neither answered nor ended: {received!r}")


def post(server: Any, case: dict[str, Any]) -> Any:
    headers = {name.replace("-", "_"): value for name, value in case.get("headers", {}).items()}
    return server.post(raw(case["body"]), case["to"], content_type=case["type"], **headers)


def test_the_corpus_is_large():
    assert len(CORPUS["bodies"]) + len(CORPUS["wire"]) >= 200


@pytest.mark.parametrize("name", CORPUS["bodies"])
def test_a_malformed_body_is_refused_with_a_reason(server: Any, name: str):
    case = CORPUS["bodies"][name]
    answer = post(server, case)
    assert answer.status == case.get("status", 400), answer.body[:300]
    told = answer.json["error"]
    assert len(told if isinstance(told, str) else told["message"]) > 5
    assert len(answer.body) < 500_000


def test_a_hundred_thousand_unknown_columns_cost_no_more_than_reading_them(server: Any):
    row = {f"column {number}": 1 for number in range(100_000)}
    started = time.monotonic()
    answer = server.post({"instances": [row]})
    assert answer.status == 400
    assert len(answer.json["error"]["rows"]) < 30
    assert time.monotonic() - started < 10  # seconds; looking for the nearest name of each took minutes


@pytest.mark.parametrize("name", [name for name, case in CORPUS["wire"].items() if not case.get("slow")])
def test_a_malformed_request_is_refused_or_cut_off(server: Any, name: str):
    case = CORPUS["wire"][name]
    received = exchange(server, case)
    status = int(received[9:12]) if received else None
    assert status in case["status"], received[:300]
    assert received.count(b"HTTP/1.1 ") <= 1, "what was smuggled behind it got an answer"
    assert b"mlinfra_serving" not in received


@pytest.mark.thorough
@pytest.mark.parametrize("name", [name for name, case in CORPUS["wire"].items() if case.get("slow")])
def test_a_request_that_never_ends_is_cut_off(server: Any, name: str):
    case = CORPUS["wire"][name]
    received = exchange(server, case)
    assert (int(received[9:12]) if received else None) in case["status"], received[:300]


@pytest.mark.thorough
def test_after_all_of_it_the_server_stands_as_before(start: Any, packages: Path):
    with start(packages / "applicants", "--name", "applicants") as server:
        held = []
        for _ in range(ROUNDS):
            for case in CORPUS["bodies"].values():
                post(server, case)
            for case in CORPUS["wire"].values():
                if not case.get("slow"):
                    exchange(server, case)
            assert server.post(GOOD).json == {"predictions": ["good"]}
            held.append(int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]) * 4096)
        assert held[-1] - held[1] < GROWTH, held
        assert server.metric("requests_total", 'code="500"') == 0
        until = time.monotonic() + 10  # clients that were cut off may read their answers for a moment
        while server.metric("connections") > 1 and time.monotonic() < until:
            time.sleep(0.1)
        assert server.metric("connections") <= 1
        assert server.stop() == 0
        log = [json.loads(line) for line in server.process.stdout if line.startswith("{")]
        assert [line for line in log if line["level"] == "error"] == []
