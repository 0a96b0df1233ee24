"""A load client cheap enough for one core: raw sockets, requests encoded beforehand, every answer compared.

Closed loop: so many connections, each sends its next request when the answer to the last is there. That is what a
server can do at best. Open loop (`overload.py`): requests leave by the clock, whatever the server does.

The client never sleeps while it waits: waking a sleeping one would be charged to the server that answers, several
microseconds each time, which no client on another machine would cost it.
"""

from __future__ import annotations

import gc
import select
import socket
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_HEAD_END = b"\r\n\r\n"
_PIECE = 1 << 18
_PATIENCE = 60.0  # seconds without any answer until a server is given up
_OK = 200

Reader = "Callable[[bytes], object]"


class LoadError(Exception):
    """A server that did not answer as it must; the message says how."""


@dataclass(frozen=True)
class Message:
    """A request as it goes over the wire, and the predictions that its answer must hold."""

    data: bytes
    expected: object


@dataclass(frozen=True)
class Answer:
    """One response: its status, head (lower case) and body."""

    status: int
    head: bytes
    body: bytes


@dataclass
class Outcome:
    """What a closed loop saw: requests answered, wall seconds, and each answer's latency in seconds."""

    requests: int = 0
    seconds: float = 0.0
    looks: int = 0  # for answers, without ever sleeping
    idle_looks: int = 0  # that found none
    latencies: list[float] = field(default_factory=list)
    aside: list[float] = field(default_factory=list)  # of the requests beside

    @property
    def per_second(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds

    @property
    def p99(self) -> float:
        """The latency, in seconds, that one request in a hundred exceeds."""
        return quantile(self.latencies, 0.99)

    @property
    def waiting(self) -> float:
        """Share of looks that found no answer: near 0, this client and not the server was the bottleneck."""
        return self.idle_looks / self.looks


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which that share of all lies; the next higher one, never a mean of two."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def encode(target: str, body: bytes, headers: dict[str, str]) -> bytes:
    """A POST request, complete."""
    lines = [f"POST {target} HTTP/1.1", "host: localhost", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def answer_end(data: bytes) -> int:
    """Where the first answer in the data ends; 0 while it is not complete. Raises LoadError for what is no answer."""
    end = data.find(_HEAD_END)
    if end < 0:
        return 0
    head = data[:end].lower()
    at = head.find(b"content-length:")
    if at >= 0:
        stop = head.find(b"\r\n", at)
        whole = end + 4 + int(head[at + 15 : stop if stop > 0 else end])
        return whole if len(data) >= whole else 0
    if b"chunked" in head:
        last = data.find(b"0\r\n\r\n", end)
        return last + 5 if last >= 0 and data[last - 2 : last] in (b"\r\n", b"\n\r") else 0
    raise LoadError(f"an answer without a length: {head[:200]!r}")


def parse_answer(data: bytes) -> Answer:
    """A complete answer taken apart, its chunks joined."""
    head, _, body = data.partition(_HEAD_END)
    lower = head.lower()
    if b"content-length:" not in lower and b"chunked" in lower:
        body = _joined(body)
    return Answer(int(head.split(b" ", 2)[1]), lower, body)


def _joined(chunks: bytes) -> bytes:
    body = b""
    while chunks:
        size, _, rest = chunks.partition(b"\r\n")
        length = int(size.partition(b";")[0], 16)
        if not length:
            break
        body += rest[:length]
        chunks = rest[length + 2 :]
    return body


def _connect(address: tuple[str, int]) -> socket.socket:
    sock = socket.create_connection(address, timeout=_PATIENCE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setblocking(False)
    return sock


class _Connection:
    """One client."""

    __slots__ = ("at", "begun", "is_aside", "received", "sock")

    def __init__(self, address: tuple[str, int], at: int, *, is_aside: bool = False) -> None:
        self.sock = _connect(address)
        self.at = at  # index of the next message
        self.is_aside = is_aside
        self.begun = 0.0
        self.received = b""


def ask(address: tuple[str, int], data: bytes, patience: float = _PATIENCE) -> Answer:
    """One request on a connection of its own."""
    with socket.create_connection(address, timeout=patience) as sock:
        sock.sendall(data)
        received = b""
        while not (end := answer_end(received)):
            piece = sock.recv(_PIECE)
            if not piece:
                raise LoadError(f"the connection ended after {len(received)} bytes")
            received += piece
    return parse_answer(received[:end])


def closed_loop(
    address: tuple[str, int],
    messages: Sequence[Message],
    read: Callable[[bytes], object],
    *,
    connections: int,
    seconds: float,
    beside: Sequence[Message] = (),
    pause: float = 0.0,
) -> Outcome:
    """Ask for so many seconds over so many connections; raises LoadError for the first answer that is wrong.

    `read` takes the predictions out of a body. Each connection goes round the messages, beginning at its own. One
    more connection goes round those `beside`, with a pause of so many seconds after each; it counts apart.
    """
    loop = _Loop(address, messages, read, connections, beside)
    loop.pause = pause
    return loop.run(seconds)


class _Loop:
    pause = 0.0  # seconds after a request beside

    def __init__(
        self,
        address: tuple[str, int],
        messages: Sequence[Message],
        read: Callable[[bytes], object],
        connections: int,
        beside: Sequence[Message],
    ) -> None:
        self._address = address
        self._messages = [*messages, *beside]
        self._first_beside = len(messages)
        self._read = read
        # bodies that were compared already, so that most comparisons are one of bytes
        self._known: list[set[bytes]] = [set() for _ in self._messages]
        self._poll = select.epoll()
        self._by_file: dict[int, _Connection] = {}
        for number in range(connections):
            self._watch(_Connection(address, number % len(messages)))
        if beside:
            self._watch(_Connection(address, len(messages), is_aside=True))

    def run(self, seconds: float) -> Outcome:
        outcome = Outcome()
        try:
            with _no_collector():
                begin = time.perf_counter()
                self._ask_until(begin + seconds, outcome)
                outcome.seconds = time.perf_counter() - begin
        finally:
            for connection in self._by_file.values():
                connection.sock.close()
            self._poll.close()
        return outcome

    def _ask_until(self, until: float, outcome: Outcome) -> None:
        clock = time.perf_counter
        resting: _Connection | None = None
        latencies = {False: outcome.latencies, True: outcome.aside}
        for connection in self._by_file.values():
            self._send(connection)
        waiting = len(self._by_file)
        while waiting:
            if resting and clock() >= min(resting.begun, until):
                waiting -= not self._send_before(until, resting)
                resting = None
            ready = self._poll.poll(0)
            outcome.looks += 1
            if not ready:
                outcome.idle_looks += 1
                if clock() > until + _PATIENCE:
                    raise LoadError(f"no answer within {_PATIENCE:.0f} s")
                continue
            for file, _ in ready:
                connection = self._by_file[file]
                if not self._receive(connection):
                    continue
                now = clock()
                latencies[connection.is_aside].append(now - connection.begun)
                if connection.is_aside and self.pause:
                    connection.begun, resting = now + self.pause, connection
                else:
                    waiting -= not self._send_before(until, connection)
        outcome.requests = len(outcome.latencies)

    def _send_before(self, until: float, connection: _Connection) -> bool:
        """Whether there was time for one more."""
        if time.perf_counter() >= until:
            return False
        self._send(connection)
        return True

    def _watch(self, connection: _Connection) -> None:
        self._by_file[connection.sock.fileno()] = connection
        self._poll.register(connection.sock.fileno(), select.EPOLLIN)

    def _connect_anew(self, connection: _Connection) -> None:
        """For servers that end a connection with each answer."""
        del self._by_file[connection.sock.fileno()]
        connection.sock.close()
        connection.sock = _connect(self._address)
        self._watch(connection)

    def _send(self, connection: _Connection) -> None:
        data = self._messages[connection.at].data
        connection.begun = time.perf_counter()
        sent = connection.sock.send(data)
        if sent < len(data):
            connection.sock.setblocking(True)
            connection.sock.sendall(data[sent:])
            connection.sock.setblocking(False)

    def _receive(self, connection: _Connection) -> bool:
        """Take what is there; True once the answer is complete, and right."""
        piece = connection.sock.recv(_PIECE)
        if not piece:
            raise LoadError("the server ended the connection")
        received = connection.received = connection.received + piece if connection.received else piece
        end = answer_end(received)
        if not end:
            return False
        if end != len(received):
            raise LoadError("an answer that nobody asked for")
        at = received.find(_HEAD_END)
        self._compare(connection.at, received, at)
        if b"connection: close" in received[:at].lower():
            self._connect_anew(connection)
        connection.received = b""
        connection.at = self._next(connection)
        return True

    def _next(self, connection: _Connection) -> int:
        if connection.is_aside:
            return connection.at + 1 if connection.at + 1 < len(self._messages) else self._first_beside
        return (connection.at + 1) % self._first_beside

    def _compare(self, at: int, received: bytes, head: int) -> None:
        body = received[head + 4 :]
        if body in self._known[at] and received[9:12] == b"200":
            return
        answer = parse_answer(received)
        if answer.status != _OK:
            raise LoadError(f"answered {answer.status}: {answer.body[:300]!r}")
        check(self._read(answer.body), self._messages[at].expected)
        if len(self._known[at]) < _REMEMBERED:
            self._known[at].add(body)


_REMEMBERED = 4  # bodies; a server that puts an id into each is compared each time


def check(found: object, expected: object) -> None:
    """Raise LoadError where predictions differ from the expected ones in a bit, or in a type."""
    if repr(found) != repr(expected):
        raise LoadError(f"another answer than the estimator's: {repr(found)[:150]}, expected {repr(expected)[:150]}")


@contextmanager
def _no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
