"""Whatever comes, the server answers in whole responses or not at all, and no quick way tells another story."""

from __future__ import annotations

import itertools
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlinfra.serving import decode
from mlinfra.serving.app import App
from mlinfra.serving.http import Connection
from mlinfra.serving.lane import Lane
from mlinfra.serving.messages import Refusal
from mlinfra.serving.metrics import Metrics
from mlinfra.serving.models import Model, Models
from mlinfra.serving.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

BODY = b'{"instances":[[1,0,0,0]]}'
GOOD = b"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Length: 25\r\n\r\n" + BODY
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n19\r\n" + BODY + b"\r\n0\r\n\r\n"
NULL = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 28\r\n\r\n" + BODY.replace(b"1", b"null")
STREAM = GOOD + CHUNKED + b"GET /ping HTTP/1.1\r\nHost: a\r\n\r\n" + NULL + b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
MANY = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Wire:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.sent = b""
        self.ended = False

    def write(self, data: bytes) -> None:
        assert not self.ended
        self.sent += data

    def write_eof(self) -> None:
        self.ended = True

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        pass

    resume_reading = close = abort = pause_reading


class Quick(Model):
    """A model that costs nothing, however busy the machine is: the loop asks it, never the lane."""

    def learn(self, size: int, seconds: float) -> None:
        pass


@pytest.fixture(scope="module")
def model(packages: Path) -> Model:
    model = Quick("numbers", "1", packages / "numbers", None)
    model.load()
    model.prove()
    model.ready = True
    return model


@pytest.fixture(scope="module")
def app(model: Model) -> App:
    lane: Any = Lane.__new__(Lane)
    lane.length = 0
    later: list[Any] = []
    made = App(
        settings=Settings(), models=Models(model), lane=lane, metrics=Metrics(1), capture=None, soon=later.append
    )
    made.later = later  # type: ignore[attr-defined]  what the loop would call in its next turn
    return made


def send(app: Any, *pieces: bytes, end: bool = False) -> Wire:
    app.buffered = 0  # what an earlier example may have left is its own failure
    wire = Wire()
    connection = Connection(app)
    connection.connection_made(wire)
    for piece in pieces:
        connection.data_received(piece)
        while app.later:
            app.later.pop(0)()
    if end:
        connection.eof_received()
    connection.connection_lost(None)
    assert app.buffered == 0
    assert app.is_idle
    return wire


def responses(sent: bytes) -> list[int]:
    """Status of each response; fails where the bytes are not whole responses. Answers to HEAD have no body."""
    found = []
    while sent:
        head, separator, rest = sent.partition(b"\r\n\r\n")
        assert separator
        status = re.match(rb"HTTP/1\.1 (\d{3}) ", head)
        assert status
        found.append(int(status[1]))
        length = int(re.search(rb"content-length: (\d+)", head)[1]) if b"content-length" in head else 0
        sent = rest if rest.startswith(b"HTTP/1.1 ") else rest[length:]
    return found


@MANY
@given(st.lists(st.integers(0, len(STREAM)), max_size=8).map(sorted))
def test_where_a_stream_is_cut_makes_no_difference(app: App, cuts: list[int]) -> None:
    bounds = [0, *cuts, len(STREAM)]
    pieces = [STREAM[start:end] for start, end in itertools.pairwise(bounds) if end > start]

    def plain(sent: bytes) -> bytes:
        return re.sub(rb"x-request-id: [^\r]*|date: [^\r]*", b"", sent)

    assert plain(send(app, *pieces).sent) == plain(send(app, STREAM).sent)
    assert responses(send(app, STREAM).sent) == [200, 200, 200, 400, 200]


NOISE = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [b"\r\n", b"\r\n\r\n", b": ", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n"]
    ),
    st.sampled_from(
        [b"Upgrade: h2c\r\n", b"Connection: upgrade\r\n", b"Expect: 100-continue\r\n", b"Host: b\r\n", GOOD, CHUNKED]
    ),
)


@pytest.mark.thorough
@MANY
@given(st.data())
def test_damaged_streams_are_answered_in_whole_responses(app: App, data: st.DataObject) -> None:
    place, dropped = data.draw(st.integers(0, len(STREAM))), data.draw(st.integers(0, 40))
    damaged = STREAM[:place] + data.draw(NOISE) + STREAM[place + dropped :]
    size = data.draw(st.integers(1, 200))
    pieces = [damaged[start : start + size] for start in range(0, len(damaged), size)]
    wire = send(app, *pieces, end=data.draw(st.booleans()))

    assert all(status in (100, 200, 400, 404, 405, 413, 415, 417, 431, 501, 505) for status in responses(wire.sent))


@MANY
@given(pieces=st.lists(st.binary(min_size=1, max_size=200), max_size=5))
@pytest.mark.parametrize("end", [False, True])
def test_noise_is_answered_in_whole_responses(app: App, pieces: list[bytes], end: bool) -> None:  # noqa: FBT001  a parameter of the test
    assert all(400 <= status < 506 for status in responses(send(app, *pieces, end=end).sent))


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**66), 2**66),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["a", ":", '"', "x0", "1"]),
)
KEYS = st.sampled_from(["x0", "x1", "x2", "x3", "instances", "x:", "parameters"])


class Pairs(list[Any]):
    """An object as its pairs, so that a key may come twice."""


def text_of(value: Any) -> str:
    if isinstance(value, Pairs):
        return "{" + ",".join(f"{json.dumps(key)} : {text_of(item)}" for key, item in value) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(text_of, value)) + "]"
    return json.dumps(value)


def objects(values: st.SearchStrategy[Any], keys: st.SearchStrategy[str] = KEYS) -> st.SearchStrategy[Any]:
    return st.lists(st.tuples(keys, values), max_size=5).map(Pairs)


NUMBERS = st.one_of(st.integers(-(2**55), 2**66), st.floats(allow_nan=False, allow_infinity=False, width=16))
FULL = st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS)
ROWS = st.one_of(
    FULL.map(list),
    FULL.map(lambda cells: Pairs(zip(["x0", "x1", "x2", "x3"], cells, strict=True))),
    st.lists(SCALARS, max_size=5),
    objects(SCALARS),
    SCALARS,
)
DOCUMENTS = st.one_of(
    st.lists(FULL.map(list), max_size=3).map(lambda rows: Pairs([("instances", rows)])),
    st.lists(ROWS, max_size=3).map(lambda rows: Pairs([("instances", rows)])),
    st.lists(ROWS, max_size=3),
    objects(st.one_of(st.lists(ROWS, max_size=2), SCALARS)),
    st.recursive(SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=3), objects(inner)), max_leaves=8),
)


def outcome(read: Any) -> Any:
    try:
        return repr([[float(cell) for cell in row] for row in read()])
    except Refusal as refusal:
        return refusal.status, refusal.code, [(cell["row"], cell["column"]) for cell in refusal.rows]


@pytest.mark.thorough
@settings(MANY, max_examples=1000)
@given(DOCUMENTS)
def test_quick_and_strict_json_tell_the_same(model: Model, document: Any) -> None:
    body = text_of(document).encode()

    def strictly() -> Any:
        return model.accept(model.check(decode.rows_of(decode.parse_strictly(body))))

    assert outcome(lambda: decode.json_rows(body, model)) == outcome(strictly)
