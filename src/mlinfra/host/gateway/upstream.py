"""Connections to model servers: kept open, one exchange at a time, answers passed on as they come."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from mlinfra.host.gateway.messages import DEPLOYMENT, HOP_BY_HOP, status_line

if TYPE_CHECKING:
    from mlinfra.host.gateway.exchange import Exchange
    from mlinfra.host.gateway.pool import Pool

_INTERIM = 200  # status codes below it announce another answer
_NO_BODY = {204, 304}


class _Answer:
    """What has come of one answer."""

    __slots__ = (
        "complete",
        "has_chunks",
        "has_length",
        "head",
        "headed",
        "in_chunks",
        "out",
        "reusable",
        "status",
        "until_close",
    )

    def __init__(self) -> None:
        self.status = 0
        self.head: list[bytes] = []
        self.out: list[bytes] = []  # not yet passed on
        self.has_length = False
        self.has_chunks = False
        self.headed = False
        self.complete = False
        self.reusable = False
        self.in_chunks = False  # the caller gets chunks, since nobody knows the length
        self.until_close = False  # the model server ends its answer by hanging up


class Upstream(asyncio.Protocol):
    """One connection to one model server. Belongs to a pool; carries one exchange at a time."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._transport: asyncio.Transport | None = None
        self._exchange: Exchange | None = None
        self._used = False  # an earlier exchange went well on it
        self._parser = HttpResponseParser(self)
        self._answer = _Answer()

    @property
    def usable(self) -> bool:
        """Whether another exchange may be sent on it."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, exchange: Exchange) -> None:
        """Send a request; its answer goes to the exchange."""
        self._exchange = exchange
        exchange.upstream = self
        self._answer = _Answer()
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
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass

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
        if self._exchange and self._answer.until_close:
            self._answer.complete = True
            self._pass_on()
        elif self._exchange:
            exchange, self._exchange = self._exchange, None
            exchange.lost(stale=self._used and not self._answer.headed)

    # What the parser calls

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header line. Those behind a chunked body are dropped."""
        answer = self._answer
        if answer.headed:
            return
        lower = name.lower()
        answer.has_length = answer.has_length or lower == b"content-length"
        answer.has_chunks = answer.has_chunks or lower == b"transfer-encoding"
        if lower not in HOP_BY_HOP and lower != DEPLOYMENT:
            answer.head.append(b"%s: %s\r\n" % (name, value))

    def on_headers_complete(self) -> None:
        """The head of an answer is whole."""
        exchange, answer = self._exchange, self._answer
        answer.status = self._parser.get_status_code()
        if answer.status < _INTERIM or exchange is None:
            return
        answer.headed = True
        answer.reusable = self._parser.should_keep_alive()
        only_head = exchange.request.method == b"HEAD"
        bounded = answer.has_length or only_head or answer.status in _NO_BODY
        answer.until_close = not bounded and not answer.has_chunks
        answer.in_chunks = not bounded and exchange.request.modern
        framing = b"transfer-encoding: chunked\r\n" if answer.in_chunks else b""
        line = status_line(answer.status)
        answer.out += exchange.head(line, answer.head, framing, bounded=bounded or answer.in_chunks)
        if only_head:
            answer.reusable = False  # the parser would wait for a body
            answer.complete = True

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        answer = self._answer
        if answer.headed and not answer.complete:
            answer.out.append(b"%x\r\n%s\r\n" % (len(body), body) if answer.in_chunks else body)

    def on_message_complete(self) -> None:
        """An answer is whole, or only its announcement."""
        if self._answer.status >= _INTERIM:
            self._answer.complete = True
        else:
            self._answer.head.clear()

    def _pass_on(self) -> None:
        """Hand on what has come, in one write."""
        exchange, answer = self._exchange, self._answer
        if exchange is None:
            return
        if answer.complete and answer.in_chunks:
            answer.out.append(b"0\r\n\r\n")
        if answer.out:
            exchange.send(b"".join(answer.out))
            answer.out.clear()
        if answer.complete:
            self._exchange = None
            self._used = True
            exchange.finished(answer.status)
            self._pool.free(self, reusable=answer.reusable)

    def _fail(self, message: str) -> None:
        exchange, self._exchange = self._exchange, None
        self.close()
        if exchange:
            exchange.failed(502, message)
