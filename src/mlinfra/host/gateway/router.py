"""Where requests go: shares, pins, shadows, limits. Everything here runs on the event loop and never waits."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mlinfra.host.gateway.exchange import Exchange
from mlinfra.host.gateway.messages import answer, document
from mlinfra.host.gateway.split import choices, sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mlinfra.host.gateway.clients import ClientConnection
    from mlinfra.host.gateway.counts import Counts
    from mlinfra.host.gateway.fleet import Fleet
    from mlinfra.host.gateway.messages import Request

HEALTH = b"/-/health"
_SHADOWS = 64  # copies on their way at once; more are not sent


class Router:
    """Sends each request to the deployment that it belongs to, and counts the answer."""

    def __init__(self, counts: Counts, timeout: float, health: Callable[[], bytes]) -> None:
        self.fleets: dict[str, Fleet] = {}
        self._counts = counts
        self._timeout = timeout
        self._health = health
        self._choices: Iterator[str] = iter(())
        self._shadow = ""
        self._sample: Iterator[bool] = iter(())
        self._shadows = 0
        self._in_flight: set[Exchange] = set()

    def apply(self, traffic: Mapping[str, int], shadow: Mapping[str, int]) -> None:
        """Split by these percents from the next request on; copy for `shadow`, if there is one, its percentage."""
        self._choices = choices({name: share for name, share in traffic.items() if share})
        self._shadow = next(iter(shadow), "")
        self._sample = sample(shadow[self._shadow]) if self._shadow else iter(())

    def dispatch(self, client: ClientConnection, request: Request) -> None:
        """Send a request on its way."""
        if request.target == HEALTH:
            client.send(document(200, self._health(), head_only=request.method == b"HEAD"))
            client.done(keep_alive=request.keep_alive)
            return
        name = request.pinned or next(self._choices, "")
        if name in self.fleets:
            self._send(Exchange(client, request, name, time.monotonic(), self._settled), name)
            if self._shadow and not request.pinned and request.counts and next(self._sample):
                self._copy(request)
            return
        told = "there is no such deployment" if request.pinned else "no deployment has traffic"
        only_head = request.method == b"HEAD"
        client.send(answer(404 if request.pinned else 503, told, close=not request.keep_alive, head_only=only_head))
        client.done(keep_alive=request.keep_alive)

    def sweep(self) -> None:
        """End what takes too long."""
        oldest = time.monotonic() - self._timeout
        for exchange in [exchange for exchange in self._in_flight if exchange.started < oldest]:
            exchange.timed_out(self._timeout)

    def _send(self, exchange: Exchange, name: str) -> None:
        self._in_flight.add(exchange)
        server = self.fleets[name].pick()
        if server is None:
            exchange.failed(503, "no server of the deployment is ready")
            return
        exchange.pool = server.pool
        server.pool.enter()
        server.pool.submit(exchange)

    def _copy(self, request: Request) -> None:
        if self._shadow in self.fleets and self._shadows < _SHADOWS:
            self._shadows += 1
            self._send(Exchange(None, request, self._shadow, time.monotonic(), self._settled), self._shadow)

    def _settled(self, exchange: Exchange, name: str, status: int) -> None:
        """An exchange has ended, one way or another."""
        self._in_flight.discard(exchange)
        if exchange.pool:
            exchange.pool.leave()
        if exchange.is_shadow:
            self._shadows -= 1
        if exchange.request.counts:
            self._counts.note(name, status, time.monotonic() - exchange.started)
