"""Row `overload`: three times what a server can do, by the clock, for a minute, on a model that takes milliseconds."""

from __future__ import annotations

import select
import socket
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from servingbench.client import answer_end, closed_loop, quantile
from servingbench.figures import Table
from servingbench.peers import KIT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from servingbench.bench import Bench
    from servingbench.process import Server

ROW = "overload"
CASE = "slow"
TIMES = 3  # the capacity
CONNECTIONS = 16  # at capacity, as many as the server lets wait by default
MOST_SLOWER = 2.0  # times the p99 at capacity
MOST_HEALTH = 0.1  # seconds
MOST_GROWTH = 32.0  # MB
LEAST_AFTER = 0.95  # of the capacity, in the second after
_POOL = 512  # connections that the flood may hold
_HEALTH_EVERY = 0.05  # seconds
_MEMORY_EVERY = 2.0  # seconds
_HEALTH = b"GET /ping HTTP/1.1\r\nhost: localhost\r\n\r\n"
_OK, _REFUSALS = 200, (429, 503)


@dataclass
class Flood:
    """What came back: seconds from when a request was due to its answer, by status; health; memory."""

    sent: int = 0
    unsent: int = 0  # due while all connections were waiting
    latencies: dict[int, list[float]] = field(default_factory=dict)
    health: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)

    def of(self, statuses: Sequence[int]) -> list[float]:
        """Latencies of some statuses."""
        return [seconds for status in statuses for seconds in self.latencies.get(status, ())]


class _Client:
    """One connection, and since when its request was due."""

    __slots__ = ("due", "received", "sock")

    def __init__(self, address: tuple[str, int]) -> None:
        self.sock = socket.create_connection(address)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
        self.due = 0.0
        self.received = b""

    def send(self, data: bytes, due: float) -> None:
        self.due = due
        self.received = b""
        self.sock.send(data)

    def receive(self) -> int:
        """The status once an answer is complete, else 0; -1 where the server ended the connection."""
        piece = self.sock.recv(1 << 16)
        self.received += piece
        if answer_end(self.received):
            return int(self.received[9:12])
        return 0 if piece else -1


class _Pour:
    """The open loop."""

    def __init__(self, server: Server, data: bytes) -> None:
        self._server = server
        self._data = data
        self._poll = select.epoll()
        self._clients: dict[int, _Client] = {}
        self._free: list[_Client] = []
        self._doctor = self._new()
        self._asked = False  # health, and not answered yet
        self.found = Flood()

    def run(self, rate: float, seconds: float) -> Flood:
        """Send by the clock for so long, then wait for what is under way."""
        begin = time.perf_counter()
        due, health, memory = begin, begin, begin
        until = begin + seconds
        while (now := time.perf_counter()) < until:
            while due <= now:
                self._send(due)
                due += 1 / rate
            if health <= now and not self._asked:
                self._doctor.send(_HEALTH, now)
                self._asked = True
                health = now + _HEALTH_EVERY
            if memory <= now:
                self.found.memory.append(self._server.pss())
                memory = now + _MEMORY_EVERY
            self._take(0.0)
        while len(self._free) + 1 < len(self._clients) and time.perf_counter() < until + 5:
            self._take(0.1)
        for client in self._clients.values():
            client.sock.close()
        self._poll.close()
        return self.found

    def _new(self) -> _Client:
        client = _Client(self._server.address)
        self._clients[client.sock.fileno()] = client
        self._poll.register(client.sock.fileno(), select.EPOLLIN)
        return client

    def _send(self, due: float) -> None:
        if not self._free and len(self._clients) >= _POOL:
            self.found.unsent += 1
            return
        client = self._free.pop() if self._free else self._new()
        client.send(self._data, due)
        self.found.sent += 1

    def _take(self, patience: float) -> None:
        for file, _ in self._poll.poll(patience):
            client = self._clients[file]
            status = client.receive()
            if not status:
                continue
            seconds = time.perf_counter() - client.due
            if client is self._doctor:
                self.found.health.append(seconds)
                self._asked = False
                continue
            self.found.latencies.setdefault(status, []).append(seconds)
            if status < 0:
                self._poll.unregister(file)
                del self._clients[file]
                client.sock.close()
            else:
                self._free.append(client)


def run(bench: Bench) -> None:
    """At capacity, then far beyond it, then at once at capacity again."""
    messages = bench.messages(KIT, CASE, "single")
    with bench.kit(CASE) as server:
        closed_loop(server.address, messages, KIT.read, connections=CONNECTIONS, seconds=1.0)
        full = closed_loop(server.address, messages, KIT.read, connections=CONNECTIONS, seconds=max(bench.seconds, 5.0))
        flood = _Pour(server, messages[0].data).run(TIMES * full.per_second, bench.overload)
        after = closed_loop(server.address, messages, KIT.read, connections=CONNECTIONS, seconds=1.0)
    results = bench.results
    accepted, refused = flood.of([_OK]), flood.of(_REFUSALS)
    other = sum(map(len, flood.latencies.values())) - len(accepted) - len(refused)
    at_capacity, beyond = full.p99 * 1e3, quantile(accepted, 0.99) * 1e3
    growth = (max(flood.memory) - flood.memory[0]) / 1e6
    results.at_most(ROW, "p99 of accepted requests, times that at capacity", beyond / at_capacity, MOST_SLOWER, "x")
    results.is_true(
        ROW,
        "the rest refused",
        held=bool(refused) and not other,
        found=f"{len(refused):,}, {other} otherwise",
        asked="429, 503",
    )
    results.at_most(ROW, "p99 of refusals", quantile(refused or [0.0], 0.99) * 1e3, MOST_HEALTH * 1e3, "ms")
    results.at_most(ROW, "slowest health answer", max(flood.health) * 1e3, MOST_HEALTH * 1e3, "ms")
    results.at_most(ROW, "growth of memory", growth, MOST_GROWTH, "MB")
    what = "throughput in the second after, of that at capacity"
    results.at_least(ROW, what, after.per_second / full.per_second, LEAST_AFTER, "x")
    lines = [
        ("at capacity, 16 connections", full.per_second, at_capacity),
        (f"{TIMES} x capacity: accepted", len(accepted) / bench.overload, beyond),
        (f"{TIMES} x capacity: refused", len(refused) / bench.overload, quantile(refused or [0.0], 0.99) * 1e3),
        ("health meanwhile", len(flood.health) / bench.overload, quantile(flood.health, 0.99) * 1e3),
        ("the second after", after.per_second, after.p99 * 1e3),
    ]
    note = f"A model that takes 3 ms of CPU a request, {bench.overload:.0f} s of overload; {flood.unsent} not sent."
    results.tables.append(Table("Overload", ("", "a second", "p99 ms"), lines, note))
