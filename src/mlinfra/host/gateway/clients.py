"""Connections of callers: requests are read, bounded, answered in their order, whatever comes in."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Protocol, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from mlinfra.host.gateway.messages import DEPLOYMENT, HOP_BY_HOP, Request, answer

if TYPE_CHECKING:
    from collections.abc import Callable

HEAD_BYTES = 64 << 10
HEADERS = 200
READING_SECONDS = 30.0  # from a request's first byte to its last
IDLE_SECONDS = 75.0  # between two requests of a connection
LINGER_SECONDS = 2.0  # between turning somebody away and hanging up
_AHEAD = 16  # requests of one connection that may wait for their turn
_VERSIONS = {"1.0", "1.1"}
_OK_TO_SEND = b"HTTP/1.1 100 Continue\r\n\r\n"


class Flow(Protocol):
    """What an answer comes from, and can be held back."""

    def pause(self) -> None:
        """The caller reads too slowly."""

    def resume(self) -> None:
        """The caller has caught up."""


class ClientConnection(asyncio.Protocol):
    """One caller's connection. The gateway answers through `send` and `done`."""

    def __init__(
        self,
        dispatch: Callable[[ClientConnection, Request], None],
        connections: set[ClientConnection],
        max_body: int,
    ) -> None:
        self.source: Flow | None = None  # where the present answer comes from
        self._dispatch = dispatch
        self._connections = connections
        self._max_body = max_body
        self._transport: asyncio.Transport | None = None
        self._parser = HttpRequestParser(self)
        self._request = Request()
        self._head_size = 0
        self._in_head = False
        self._reading = False  # inside a request
        self._busy = False  # a request is being answered
        self._lingering = False  # turned away; what still comes is thrown away, so that the answer arrives
        self._waiting: deque[Request] = deque()
        self._refusal: tuple[int, str] | None = None
        self._last = False  # nothing after the present request is read
        self._since = 0.0

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A caller has come."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass
        self._since = time.monotonic()
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Bytes have come: whole requests, parts of one, or nonsense."""
        if self._last or self._refusal:
            return
        if self._in_head:
            self._grow(len(data))  # the parser keeps an unfinished line to itself
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            self._last = True  # we speak nothing else: the request is answered as it stands
        except HttpParserError as exc:
            self._refuse(400, f"not HTTP: {exc}")
        if self._refusal:
            self._turn_away()

    def eof_received(self) -> bool:
        """The caller sends no more; it may still read its answers."""
        self._last = True
        return self._busy and not self._lingering

    def connection_lost(self, _exc: Exception | None) -> None:
        """The caller is gone; what it asked for is finished and counted all the same."""
        self._transport = None
        self._waiting.clear()
        self._connections.discard(self)
        if self.source:
            self.source.resume()

    def pause_writing(self) -> None:
        """The caller reads too slowly."""
        if self.source:
            self.source.pause()

    def resume_writing(self) -> None:
        """The caller has caught up."""
        if self.source:
            self.source.resume()

    # What the parser calls

    def on_message_begin(self) -> None:
        """A request begins."""
        self._request = Request()
        self._reading = self._in_head = True
        self._head_size = 0
        self._since = time.monotonic()

    def on_url(self, url: bytes) -> None:
        """A part of the target."""
        self._request.target += url
        self._grow(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header line. Those behind a chunked body are dropped."""
        request = self._request
        lower = name.lower()
        if not self._in_head:
            return
        self._grow(len(name) + len(value))
        if lower == DEPLOYMENT:
            request.pinned = value.decode("latin-1")
        elif lower == b"content-length":
            self._measure(int(value))
        elif lower == b"expect":
            request.hesitates = value.lower() == b"100-continue"
        elif lower not in HOP_BY_HOP:
            request.head.append(b"%s: %s\r\n" % (name, value))
            if len(request.head) > HEADERS:
                self._refuse(431, f"more than {HEADERS} headers")

    def on_headers_complete(self) -> None:
        """All header lines have come."""
        request = self._request
        request.method = self._parser.get_method()
        request.keep_alive = self._parser.should_keep_alive()
        version = self._parser.get_http_version()
        request.modern = version == "1.1"
        if version not in _VERSIONS:
            self._refuse(400, f"HTTP/{version} is not spoken here")
        self._in_head = False
        if request.hesitates and not self._refusal and not self._busy:
            self.send(_OK_TO_SEND)

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        request = self._request
        request.size += len(body)
        self._measure(request.size)
        if not self._refusal:
            request.body.append(body)

    def on_message_complete(self) -> None:
        """A request is whole."""
        self._reading = False
        if self._refusal:
            return
        self._waiting.append(self._request)
        if not self._busy:
            self._next()
        elif len(self._waiting) >= _AHEAD and self._transport:
            self._transport.pause_reading()

    # What the gateway calls

    def send(self, data: bytes) -> None:
        """Write a part of the answer."""
        if self._transport:
            self._transport.write(data)

    def done(self, *, keep_alive: bool) -> None:
        """The answer is complete: on to the next request, or the end of the connection."""
        self.source = None
        self._busy = False
        self._since = time.monotonic()
        if not keep_alive:
            self.close()
        elif self._waiting:
            self._next()
        elif self._refusal:
            self._turn_away()
        elif self._last:
            self.close()

    def close(self) -> None:
        """Close when what was written has gone out."""
        if self._transport:
            self._transport.close()

    def abort(self) -> None:
        """Close at once: an answer that cannot be completed must not look complete."""
        if self._transport:
            self._transport.abort()

    def check(self, now: float) -> None:
        """Turn away who is too slow to ask, and let go who asks for nothing."""
        waited = now - self._since
        if self._busy:
            return
        if self._lingering:
            self._close_after(waited, LINGER_SECONDS)
        elif not self._reading:
            self._close_after(waited, IDLE_SECONDS)
        elif waited > READING_SECONDS:
            self._refuse(408, f"the request was not complete after {READING_SECONDS:.0f} s")
            self._turn_away()

    def drain(self) -> None:
        """No further requests: close now, or after the present answer."""
        self._last = True
        if not self._busy:
            self.close()

    def _next(self) -> None:
        request = self._waiting.popleft()
        self._busy = True
        if self._transport and len(self._waiting) < _AHEAD:
            self._transport.resume_reading()
        self._dispatch(self, request)

    def _close_after(self, waited: float, patience: float) -> None:
        if waited > patience:
            self.abort()

    def _grow(self, size: int) -> None:
        self._head_size += size
        if self._head_size > HEAD_BYTES:
            self._refuse(431, f"the head is larger than {HEAD_BYTES} bytes")

    def _measure(self, size: int) -> None:
        if size > self._max_body:
            self._refuse(413, f"the body is larger than {self._max_body} bytes")

    def _refuse(self, status: int, message: str) -> None:
        self._refusal = self._refusal or (status, message)

    def _turn_away(self) -> None:
        """Say why, when earlier requests have had their answers; hang up a little later, so that it is heard."""
        if self._busy or self._lingering or self._refusal is None:
            return
        self.send(answer(*self._refusal, close=True))
        self._lingering = True
        self._since = time.monotonic()
        if self._transport and self._transport.can_write_eof():
            self._transport.write_eof()
