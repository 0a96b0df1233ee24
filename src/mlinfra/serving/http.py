"""HTTP/1.1 on one connection: an asyncio protocol over a C parser, with no framework in between.

The parser refuses request smuggling by itself (two lengths, length beside chunks, bare line feeds, folded
headers); this layer adds limits, deadlines, order under pipelining, and an answer in words for whatever is refused.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

import httptools

from mlinfra.serving.messages import STATUS_LINES, Refusal, Request, Response

if TYPE_CHECKING:
    from mlinfra.serving.app import App

_ONLY_ONCE = frozenset({b"host", b"content-type", b"content-encoding", b"inference-header-content-length"})
_TURN = 16  # pipelined requests answered before others have their turn
_LINGER = 2.0  # seconds in which a client may still read the answer to a request that was cut short
_STALLED = 30.0  # seconds in which a client must take something of its answer
_OVERHEAD = 8  # times the body: in one-byte chunks it arrives six times as long
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_IDLE, _HEAD, _BODY, _DEAF = range(4)


class Connection(asyncio.Protocol):
    """One client. Requests are answered in the order in which they came."""

    __slots__ = (
        "_app",
        "_body_limit",
        "_buffer_limit",
        "_busy",
        "_ended",
        "_eof",
        "_head_limit",
        "_idle_timeout",
        "_large",
        "_parser",
        "_parts",
        "_phase",
        "_received",
        "_request",
        "_stalled",
        "_timed",
        "_transport",
        "_turn",
        "_upgrading",
        "_waiting",
        "deadline",
    )

    def __init__(self, app: App) -> None:
        self._app = app
        self._head_limit = app.settings.head_limit
        self._body_limit = app.settings.body_limit
        self._buffer_limit = app.settings.buffer_limit
        self._idle_timeout = app.settings.idle_timeout
        self._parser = httptools.HttpRequestParser(self)
        self._phase = _IDLE
        self._request = Request()
        self._parts: list[bytes] = []
        self._received = 0  # raw bytes of an unfinished request, but for its first chunk
        self._large = False  # the last chunk could hold a head beyond the limit
        self._timed = _IDLE  # the phase that the deadline is for
        self._upgrading = False
        self._turn = 0  # requests of the last chunk
        self._eof = False  # the client will send no more
        self._stalled = False  # the client does not take its answers
        self._ended = False  # we will send no more
        self._busy: Request | None = None  # being predicted by the lane
        self._waiting: deque[Request] = deque()
        self.deadline = 0.0

    # asyncio's side

    def connection_made(self, transport: Any) -> None:
        """A client has come."""
        self._transport = transport
        self.deadline = self._app.now + self._app.settings.header_timeout
        if not self._app.enter(self):
            self._fail(Refusal(503, "TooManyConnections", "the server has no connection left", close=True))

    def connection_lost(self, _exc: Exception | None) -> None:
        """The client is gone; what is being predicted for it goes nowhere."""
        self._ended = True
        self._release(self._request)
        self._release(self._busy)
        self._forget_waiting()
        self._app.leave(self)

    def data_received(self, data: bytes) -> None:
        """Bytes of requests; all that is complete in them is answered before this returns, or handed to the lane."""
        if self._phase == _DEAF:
            return
        self._turn = 0
        self._large = len(data) > self._head_limit
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as exc:
            self._decline_upgrade(data[exc.args[0] :])
        except httptools.HttpParserError as exc:
            self._fail(_malformed(exc))
        if self._phase in (_HEAD, _BODY):
            self._account(len(data))
        if self._waiting and not self._busy:
            self._app.soon(self._pump)

    def eof_received(self) -> bool:
        """The client will send no more; it may still be waiting for answers."""
        self._eof = True
        if self._phase in (_HEAD, _BODY):
            self._fail(Refusal(400, "MalformedRequest", "the request ended before it was complete", close=True))
            return True
        return self._busy is not None

    def pause_writing(self) -> None:
        """The client does not take its answers: read nothing more from it."""
        self._stalled = True
        self._transport.pause_reading()
        self.deadline = self._app.now + _STALLED

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._stalled = False
        self.deadline = self._app.now + self._idle_timeout
        self._pump()

    # the parser's side

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        if self._phase == _DEAF:
            return
        self._phase = _HEAD
        self._timed = _IDLE
        self._request = Request()
        self._received = 0

    def on_url(self, url: bytes) -> None:
        """The target, or a piece of it."""
        self._request.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; after the head they are trailers, which nobody asked for."""
        if self._phase != _HEAD:
            return
        name = name.lower()
        headers = self._request.headers
        if name in headers:
            value = self._joined(name, headers[name], value)
        headers[name] = value

    def on_headers_complete(self) -> None:
        """The head is there: refuse what need not be read to its end."""
        if self._phase == _DEAF:
            return
        self._phase = _BODY
        request = self._request
        request.method = self._parser.get_method()
        version = self._parser.get_http_version()
        headers = request.headers
        if version != "1.1":
            request.old = True
        offered = b"upgrade" in headers or request.method == b"CONNECT"
        self._upgrading = offered and self._parser.should_upgrade()
        if self._large or self._received:
            self._limit_head()
        if int(headers.get(b"content-length", 0)) > self._body_limit:
            self._too_large()
        if version != "1.1" or b"host" not in headers or b"transfer-encoding" in headers or b"expect" in headers:
            self._unusual(version)

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if self._phase == _DEAF:
            return
        app, request = self._app, self._request
        size = len(body)
        request.size += size
        app.buffered += size
        self._parts.append(body)
        if request.size > self._body_limit:
            self._too_large()
        elif app.buffered > self._buffer_limit:
            message = "too many bytes of other requests are waiting"
            self._fail(Refusal(503, "Overloaded", message, headers=b"retry-after: 1\r\n", close=True))

    def on_message_complete(self) -> None:
        """A whole request."""
        request = self._request
        if self._upgrading or self._phase == _DEAF:
            return
        self._phase = _IDLE
        request.keep_alive = self._parser.should_keep_alive()
        parts = self._parts
        if parts:
            request.body = parts[0] if len(parts) == 1 else b"".join(parts)
            self._parts = []
        self._turn += 1
        if self._busy or self._waiting or self._turn > _TURN:
            self._waiting.append(request)
            if len(self._waiting) == _TURN:
                self._transport.pause_reading()
        else:
            self._serve(request)

    # answering

    def complete(self, request: Request, response: Response) -> None:
        """The answer to the request that the lane had; later ones follow."""
        self._busy = None
        if self._ended:
            return
        self._write(request, response)
        self._pump()

    def expire(self) -> None:
        """The deadline has passed."""
        if self._busy:
            refusal = Refusal(504, "PredictionTimeout", "the model did not answer in time", close=True)
            self._app.refused(refusal)
            self._write(self._busy, refusal.response())
        elif self._phase in (_HEAD, _BODY):
            self._fail(Refusal(408, "RequestTimeout", "the request took too long to arrive", close=True))
        elif self._phase == _IDLE and not self._transport.get_write_buffer_size():
            self._transport.close()
        else:
            self._transport.abort()

    def drain(self) -> None:
        """The server is going: an idle connection ends soon, a busy one with its answer."""
        if self._phase == _IDLE and not self._busy:
            self.deadline = min(self.deadline, self._app.now + self._app.settings.drain_idle)

    def end(self) -> None:
        """Nothing more is to be answered here."""
        self._busy = None
        self._transport.close()

    @property
    def is_ended(self) -> bool:
        """Whether no answer can be sent any more."""
        return self._ended

    @property
    def has_left(self) -> bool:
        """Whether the client has ended its side, as one does that waits no longer."""
        return self._ended or self._eof

    def _serve(self, request: Request) -> None:
        response = request.refusal or self._app.answer(request, self)
        if response is None:
            self._busy = request
            self.deadline = self._app.now + self._app.settings.predict_timeout
        else:
            self._write(request, response)

    def _pump(self) -> None:
        """Serve what waited: one turn of it, up to the next request that the lane takes, while the client reads."""
        for _ in range(min(_TURN, len(self._waiting))):
            if self._busy or self._ended or self._stalled:
                return
            self._serve(self._waiting.popleft())
        if self._waiting:
            self._app.soon(self._pump)
        elif not self._busy and not self._stalled and self._phase != _DEAF:
            self._transport.resume_reading()

    def _write(self, request: Request, response: Response) -> None:
        app = self._app
        close = response.close or not request.keep_alive or ((app.draining or self._eof) and not self._waiting)
        body = response.body
        connection = b"connection: close\r\n" if close else b"connection: keep-alive\r\n" if request.old else b""
        self._transport.write(
            b"%bcontent-type: %b\r\ndate: %b\r\n%b%bcontent-length: %d\r\n\r\n%b"
            % (
                STATUS_LINES[response.status],
                response.content_type,
                app.date,
                response.headers,
                connection,
                len(body),
                b"" if request.method == b"HEAD" else body,
            )
        )
        self._release(request)
        self.deadline = app.now + self._idle_timeout
        if close:
            self._finish()

    def _finish(self) -> None:
        """End our side and let the client read: closing at once could destroy the answer on its way."""
        self._phase = _DEAF
        self._ended = True
        self._forget_waiting()
        self.deadline = self._app.now + _LINGER
        if not self._transport.is_closing():
            self._transport.write_eof()

    # refusing

    def _fail(self, refusal: Refusal) -> None:
        """Answer in turn, then end the connection: where the next request begins is not known any more."""
        if self._phase == _DEAF or self._transport.is_closing():
            return
        self._app.refused(refusal)
        self._phase = _DEAF
        self._parts = []
        request = self._request
        request.keep_alive = False
        request.refusal = refusal.response()
        if self._busy or self._waiting:
            self._waiting.append(request)
        else:
            self._write(request, request.refusal)

    def _too_large(self) -> None:
        self._fail(Refusal(413, "BodyTooLarge", f"the body is larger than {self._body_limit} bytes", close=True))

    def _limit_head(self) -> None:
        request = self._request
        size = len(request.target) + sum(len(name) + len(value) for name, value in request.headers.items())
        if size > self._head_limit:
            self._fail(_head_too_large(self._head_limit))

    def _account(self, count: int) -> None:
        """Bound what an unfinished request has brought so far, whatever it hides it in, and the time for the rest."""
        self._received += count
        if self._timed != self._phase:
            self._timed = self._phase
            settings = self._app.settings
            patience = settings.header_timeout if self._phase == _HEAD else settings.body_timeout
            self.deadline = self._app.now + patience
        if self._phase == _HEAD and self._received > self._head_limit:
            self._fail(_head_too_large(self._head_limit))
        elif self._received > _OVERHEAD * self._request.size + self._head_limit:
            self._fail(Refusal(413, "BodyTooLarge", "more framing than body", close=True))

    def _joined(self, name: bytes, first: bytes, second: bytes) -> bytes:
        """The value of a header that came again."""
        if name in _ONLY_ONCE:
            message = f"more than one {name.decode('latin-1')} header"
            self._fail(Refusal(400, "MalformedRequest", message, close=True))
        return b"%b, %b" % (first, second)

    def _unusual(self, version: str) -> None:
        headers = self._request.headers
        encoding = headers.get(b"transfer-encoding")
        expected = headers.get(b"expect", b"100-continue").lower()
        if version not in ("1.0", "1.1"):
            self._fail(Refusal(505, "VersionNotSupported", f"HTTP/{version} is not spoken here", close=True))
        elif version == "1.1" and b"host" not in headers:
            self._fail(Refusal(400, "MalformedRequest", "no host header", close=True))
        elif encoding is not None and version == "1.0":
            self._fail(Refusal(400, "MalformedRequest", "HTTP/1.0 knows no transfer-encoding", close=True))
        elif encoding is not None and encoding.lower() != b"chunked":
            self._fail(Refusal(501, "NotImplemented", "the only transfer-encoding is chunked", close=True))
        elif expected != b"100-continue":
            self._fail(Refusal(417, "ExpectationFailed", "the only expectation met is 100-continue", close=True))
        elif b"expect" in headers and version == "1.1" and self._phase != _DEAF:
            self._transport.write(_CONTINUE)

    def _decline_upgrade(self, rest: bytes) -> None:
        """Go on in HTTP/1.1: the parser stopped at the head, so a new one is given the head without the offer."""
        request = self._request
        if self._phase == _DEAF:
            return
        if request.method == b"CONNECT":
            self._fail(Refusal(405, "MethodNotAllowed", "this server is no proxy", close=True))
            return
        dropped = (b"upgrade", b"connection", b"http2-settings", b"expect")
        lines = [b"%b: %b\r\n" % item for item in request.headers.items() if item[0] not in dropped]
        head = b"%b %b HTTP/1.1\r\n%b\r\n" % (request.method, request.target, b"".join(lines))
        self._upgrading = False
        self._parser = httptools.HttpRequestParser(self)
        self.data_received(head + rest)

    def _forget_waiting(self) -> None:
        for request in self._waiting:
            self._release(request)
        self._waiting.clear()

    def _release(self, request: Request | None) -> None:
        if request is not None:
            self._app.buffered -= request.size
            request.size = 0


def _head_too_large(limit: int) -> Refusal:
    return Refusal(431, "HeadTooLarge", f"target and headers are larger than {limit} bytes", close=True)


def _malformed(exc: Exception) -> Refusal:
    if isinstance(exc, httptools.HttpParserInvalidMethodError):
        return Refusal(400, "MalformedRequest", "unknown method, or no HTTP at all", close=True)
    return Refusal(400, "MalformedRequest", f"malformed HTTP: {exc}", close=True)
