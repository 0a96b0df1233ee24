"""The server's centre: connections come here with requests, and everything that serves them is held here."""

from __future__ import annotations

import itertools
import os
import re
import time
from email.utils import formatdate
from typing import TYPE_CHECKING

from mlinfra.serving.log import log
from mlinfra.serving.messages import Refusal, Response
from mlinfra.serving.routes import Route, routes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlinfra.serving.capture import Capture
    from mlinfra.serving.exchange import Exchange
    from mlinfra.serving.fleet import Fleet
    from mlinfra.serving.http import Connection
    from mlinfra.serving.lane import Lane
    from mlinfra.serving.messages import Request
    from mlinfra.serving.metrics import Metrics
    from mlinfra.serving.models import Models
    from mlinfra.serving.settings import Settings

_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_UNAVAILABLE = 503  # nothing was asked of the model, so there is nothing to repeat
_REQUEST_ID = b"x-request-id"
_V2 = b"/v2/"


class App:
    """One worker. Everything here belongs to the event loop's thread.

    `now` is a clock in seconds that moves with `tick`, exact enough for deadlines.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        models: Models | Fleet,
        lane: Lane,
        metrics: Metrics,
        capture: Capture | None,
        soon: Callable[[Callable[[], None]], object],
        loader: Lane | None = None,
    ) -> None:
        self.settings = settings
        self.models = models
        self.lane = lane
        self.metrics = metrics
        self.now = time.monotonic()
        self.date = b""
        self.draining = False
        self.soon = soon  # asks the event loop to call a function in its next turn
        self.buffered = 0  # bytes of bodies in memory
        self._capture = capture
        self._connections: set[Connection] = set()
        routes = routes_of(settings, models, loader, metrics)
        self._routes: Mapping[bytes, Route] = routes.table
        self._named = routes.find
        self._prefix = os.urandom(6).hex().encode()
        self._numbers = itertools.count(1)
        self.tick()

    def enter(self, connection: Connection) -> bool:
        """A connection has come; whether there is room for it."""
        self._connections.add(connection)
        return len(self._connections) <= self.settings.connections

    def leave(self, connection: Connection) -> None:
        """A connection is gone."""
        self._connections.discard(connection)

    @property
    def is_idle(self) -> bool:
        """Whether no connection is left."""
        return not self._connections

    def answer(self, request: Request, connection: Connection) -> Response | None:
        """The answer to a request, or None where the lane will give it."""
        request.started = time.perf_counter()
        try:
            return self._dispatch(request, connection)
        except Exception as exc:  # noqa: BLE001  a fault of ours costs one answer, never the server
            return self._refuse(request, exc)

    def resume(self, request: Request, connection: Connection, work: Callable[[], Response | None]) -> None:
        """Go on with a request that had to wait: its answer goes to the connection now, or the lane will bring it."""
        if connection.is_ended:
            return
        if connection.has_left:
            connection.end()
            return
        try:
            response = work()
        except Exception as exc:  # noqa: BLE001  as in `answer`
            response = self._refuse(request, exc)
        if response is not None:
            connection.complete(request, response)

    def done(self, exchange: Exchange) -> None:
        """Count and capture a finished exchange, and put its id on the answer."""
        request, response, refusal = exchange.request, exchange.response, exchange.refusal
        rows = len(exchange.rows) if refusal is None else 0
        self.metrics.observe(response.status, time.perf_counter() - request.started, rows)
        if refusal is not None and refusal.rows:
            self.metrics.add("refused_cells_total", len(refusal.rows))
        response.headers += b"x-request-id: %b\r\n" % request.id
        if self._capture is not None and response.status != _UNAVAILABLE:
            self._capture.take(exchange)

    def refused(self, refusal: Refusal) -> None:
        """Count what never came to a model."""
        self.metrics.count(refusal.status)

    def gauge(self) -> None:
        """Bring the gauges up to date."""
        self.metrics.set("in_flight", self.lane.length)
        self.metrics.set("connections", len(self._connections))
        self.metrics.set("ready", float(self.models.ready()))

    def tick(self) -> None:
        """Move the clock and end what is overdue; to be called about twice a second."""
        self.now = time.monotonic()
        self.date = formatdate(usegmt=True).encode()
        for connection in list(self._connections):
            if connection.deadline < self.now:
                connection.expire()
        self.gauge()

    def drain(self) -> None:
        """Begin to stop: health says no, every answer ends its connection, idle connections end soon."""
        self.draining = True
        self.now = time.monotonic()
        for connection in list(self._connections):
            connection.drain()

    def _dispatch(self, request: Request, connection: Connection) -> Response | None:
        route = self._routes.get(request.target) or self._find(request.target)
        if request.method == b"POST" and route.post:
            self._identify(request)
            return route.post(self, request, connection)
        if request.method in (b"GET", b"HEAD") and route.get:
            return route.get(self)
        if request.method == b"DELETE" and route.delete:
            return route.delete(self)
        message = f"{request.method.decode('latin-1')} is not answered here"
        raise Refusal(405, "MethodNotAllowed", message, headers=b"allow: %b\r\n" % route.allow)

    def _refuse(self, request: Request, exc: Exception) -> Response:
        if not isinstance(exc, Refusal):
            log("fault", level="error", error=exc, target=request.target.decode("latin-1"))
            exc = Refusal(500, "KitFault", "a fault of the server; its log has the reason")
        self.refused(exc)
        return exc.v2_response() if request.target.startswith(_V2) else exc.response()

    def _identify(self, request: Request) -> None:
        given = request.headers.get(_REQUEST_ID)
        if given is not None and _ID.fullmatch(given):
            request.id = given
        else:
            request.id = b"%b-%x" % (self._prefix, next(self._numbers))

    def _find(self, target: bytes) -> Route:
        """A route for a target that is not an address as it stands: with a query, or absolute."""
        path = target.partition(b"?")[0]
        if path.startswith((b"http://", b"https://")):
            path = b"/" + path.split(b"/", 3)[3] if path.count(b"/") > 2 else b"/"  # noqa: PLR2004  scheme://host/path
        route = self._routes.get(path) or self._named(path)
        if route is None:
            raise Refusal(404, "NotFound", "nothing is served at this address")
        return route
