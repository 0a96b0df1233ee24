"""The open connections to one model server, and the requests that wait for one."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from mlinfra.host.gateway.upstream import Upstream
from mlinfra.host.ports import LOOPBACK

if TYPE_CHECKING:
    from mlinfra.host.gateway.exchange import Exchange

CONNECTIONS = 128  # to one model server at once
WAITING = 1024  # requests that may wait for a connection; more are turned away
_UNAVAILABLE, _BAD_GATEWAY = 503, 502


class Pool:
    """Everything that goes to one model server process."""

    def __init__(self, port: int) -> None:
        self.open = True
        self.in_flight = 0
        self.quiet = asyncio.Event()  # set while nothing is in flight
        self.quiet.set()
        self._port = port
        self._idle: list[Upstream] = []  # the warmest last
        self._all: set[Upstream] = set()
        self._connecting: set[asyncio.Task[None]] = set()
        self._waiting: deque[Exchange] = deque()

    def enter(self) -> None:
        """A request is on its way."""
        self.in_flight += 1
        self.quiet.clear()

    def leave(self) -> None:
        """A request is settled."""
        self.in_flight -= 1
        if not self.in_flight:
            self.quiet.set()

    def submit(self, exchange: Exchange) -> None:
        """Send a request as soon as a connection is free."""
        while self._idle:
            upstream = self._idle.pop()
            if upstream.usable:
                upstream.send(exchange)
                return
        if len(self._waiting) >= WAITING:
            exchange.failed(_UNAVAILABLE, "too many requests wait for the model server")
            return
        self._waiting.append(exchange)
        self._connect_enough()

    def withdraw(self, exchange: Exchange) -> None:
        """Take a request back that has not been sent."""
        if exchange in self._waiting:
            self._waiting.remove(exchange)

    def free(self, upstream: Upstream, *, reusable: bool) -> None:
        """An exchange has ended; the connection is there for the next."""
        if not (reusable and upstream.usable and self.open):
            upstream.close()  # `lost` follows
        elif self._waiting:
            upstream.send(self._waiting.popleft())
        else:
            self._idle.append(upstream)

    def lost(self, upstream: Upstream) -> None:
        """A connection is gone."""
        self._all.discard(upstream)
        if upstream in self._idle:
            self._idle.remove(upstream)
        self._connect_enough()

    def close(self) -> None:
        """Close every connection; requests on their way fail."""
        self.open = False
        for task in tuple(self._connecting):
            task.cancel()
        while self._waiting:
            self._waiting.popleft().failed(_BAD_GATEWAY, "the model server was stopped")
        for upstream in tuple(self._all):
            upstream.close()

    def _connect_enough(self) -> None:
        """Open a connection for each request that waits, as far as there may be more."""
        loop = asyncio.get_running_loop()
        while self.open and len(self._connecting) < min(len(self._waiting), CONNECTIONS - len(self._all)):
            task = loop.create_task(self._connect())
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            _transport, upstream = await loop.create_connection(lambda: Upstream(self), LOOPBACK, self._port)
        except OSError:
            if self._waiting:
                self._waiting.popleft().failed(_BAD_GATEWAY, "the model server takes no connection")
            return
        self._all.add(upstream)
        if self._waiting:
            upstream.send(self._waiting.popleft())
        else:
            self._idle.append(upstream)
