"""Connections to model servers: kept open, one exchange at a time, answers passed on as they come."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from mlinfra.host.gateway.messages import DEPLOYMENT, HOP_BY_HOP, status_line

if TYPE_CHECKING:
    from mlinfra.host.gateway.exchange import Exchange
    from mlinfra.host.gateway.pool import Pool

_INTERIM = 200  # status codes below it announce another answer
_NO_BODY = {204, 304}


class Upstream(asyncio.Protocol):
    """One connection to one model server. Belongs to a pool; carries one exchange at a time."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._transport: asyncio.Transport | None = None
        self._exchange: Exchange | None = None
        self._used = False  # an earlier exchange went well on it
        self._parser = HttpResponseParser(self)
        self._begin()

    @property
    def usable(self) -> bool:
        """Whether another exchange may be sent on it."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, exchange: Exchange) -> None:
        """Send a request; its answer goes to the exchange."""
        self._exchange = exchange
        exchange.upstream = self
        self._begin()
        if self._transport:
            self._transport.write(exchange.request.encode())

    def abandon(self) -> None:
        """Give the exchange up: what may still come belongs to nobody."""
        self._exchange = None
        self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._transport:
            self._transport.abort()

    def pause(self) -> None:
        """The caller reads too slowly."""
        if self._transport:
            self._transport.pause_reading()

    def resume(self) -> None:
        """The caller has caught up."""
        if self._transport and not self._transport.is_closing():
            self._transport.resume_reading()

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The model server has taken the connection."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        """A part of an answer."""
        if self._exchange is None:
            self.close()  # it speaks without having been asked
            return
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self._fail("the model server does not speak HTTP")
            return
        self._pass_on()

    def connection_lost(self, _exc: Exception | None) -> None:
        """The model server has hung up."""
        self._transport = None
        self._pool.lost(self)
        if self._exchange and self._until_close:
            self._complete = True
            self._pass_on()
        elif self._exchange:
            exchange, self._exchange = self._exchange, None
            exchange.lost(stale=self._used and not self._headed)

    # What the parser calls

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header line."""
        lower = name.lower()
        if self._headed:
            return  # those behind a chunked body are dropped
        self._has_length = self._has_length or lower == b"content-length"
        self._has_chunks = self._has_chunks or lower == b"transfer-encoding"
        if lower not in HOP_BY_HOP and lower != DEPLOYMENT:
            self._head.append(b"%s: %s\r\n" % (name, value))

    def on_headers_complete(self) -> None:
        """The head of an answer is whole."""
        exchange = self._exchange
        self._status = self._parser.get_status_code()
        if self._status < _INTERIM or exchange is None:
            return
        self._headed = True
        self._reusable = self._parser.should_keep_alive()
        only_head = exchange.request.method == b"HEAD"
        bounded = self._has_length or only_head or self._status in _NO_BODY
        self._until_close = not bounded and not self._has_chunks
        self._in_chunks = not bounded and exchange.request.modern
        framing = b"transfer-encoding: chunked\r\n" if self._in_chunks else b""
        line = status_line(self._status)
        self._out += exchange.head(line, self._head, framing, bounded=bounded or self._in_chunks)
        if only_head:
            self._reusable = False  # the parser would wait for a body
            self._complete = True

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        if self._headed and not self._complete:
            self._out.append(b"%x\r\n%s\r\n" % (len(body), body) if self._in_chunks else body)

    def on_message_complete(self) -> None:
        """An answer is whole, or only its announcement."""
        if self._status >= _INTERIM:
            self._complete = True
        else:
            self._head.clear()

    def _begin(self) -> None:
        """Make ready for an answer."""
        self._head: list[bytes] = []
        self._out: list[bytes] = []
        self._status = 0
        self._has_length: bool = False
        self._has_chunks: bool = False
        self._headed: bool = False
        self._reusable = False
        self._in_chunks: bool = False  # the caller gets chunks, since nobody knows the length
        self._until_close: bool = False  # the model server ends its answer by hanging up
        self._complete: bool = False

    def _pass_on(self) -> None:
        """Hand on what has come, in one write."""
        exchange = self._exchange
        if exchange is None:
            return
        if self._complete and self._in_chunks:
            self._out.append(b"0\r\n\r\n")
        if self._out:
            exchange.send(b"".join(self._out))
            self._out.clear()
        if self._complete:
            self._exchange = None
            self._used = True
            exchange.finished(self._status)
            self._pool.free(self, reusable=self._reusable)

    def _fail(self, message: str) -> None:
        exchange, self._exchange = self._exchange, None
        self.close()
        if exchange:
            exchange.failed(502, message)
