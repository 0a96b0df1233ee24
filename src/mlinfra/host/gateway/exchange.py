"""One request on its way: from a caller to a model server and back, counted once whatever happens to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.host.gateway.messages import DEPLOYMENT, answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlinfra.host.gateway.clients import ClientConnection
    from mlinfra.host.gateway.messages import Request
    from mlinfra.host.gateway.pool import Pool
    from mlinfra.host.gateway.upstream import Upstream

_BAD_GATEWAY, _TIMED_OUT = 502, 504


class Exchange:
    """A request and where its answer goes. Without a client it is a shadow's copy, whose answer is dropped."""

    __slots__ = (
        "_client",
        "_close",
        "_name",
        "_settled",
        "_started_answer",
        "pool",
        "request",
        "retried",
        "started",
        "upstream",
    )

    def __init__(
        self,
        client: ClientConnection | None,
        request: Request,
        name: str,
        started: float,
        settled: Callable[[Exchange, str, int], None],
    ) -> None:
        self.request = request
        self.started = started
        self.upstream: Upstream | None = None
        self.pool: Pool | None = None
        self.retried = False
        self._client = client
        self._name = name
        self._settled = settled
        self._started_answer = False
        self._close = False

    @property
    def is_shadow(self) -> bool:
        """Whether nobody waits for the answer."""
        return self._client is None

    def head(self, status_line: bytes, lines: list[bytes], framing: bytes, *, bounded: bool) -> list[bytes]:
        """The head of the answer as the caller gets it. An unbounded body ends with the connection."""
        self._close = not (self.request.keep_alive and bounded)
        name = b"%s: %s\r\n" % (DEPLOYMENT, self._name.encode())
        closing = b"connection: close\r\n" if self._close else b""
        return [status_line, *lines, name, framing, closing, b"\r\n"]

    def send(self, data: bytes) -> None:
        """Pass on a part of the answer."""
        self._started_answer = True
        if self._client:
            self._client.source = self.upstream
            self._client.send(data)

    def finished(self, status: int) -> None:
        """The answer is whole."""
        self._settled(self, self._name, status)
        if self._client:
            self._client.done(keep_alive=not self._close)

    def lost(self, *, stale: bool) -> None:
        """The model server hung up. On a connection that had idled too long nothing was done: send it once more."""
        if stale and not self.retried and self.pool and self.pool.open:
            self.retried = True
            self.pool.submit(self)
        else:
            self.failed(_BAD_GATEWAY, "the model server closed the connection before it had answered")

    def timed_out(self, seconds: float) -> None:
        """The model server took too long."""
        if self.upstream:
            self.upstream.abandon()
        elif self.pool:
            self.pool.withdraw(self)
        self.failed(_TIMED_OUT, f"the model server did not answer within {seconds:g} s")

    def failed(self, status: int, message: str) -> None:
        """Answer in the model server's place; if it has begun to answer, break off so that nobody is deceived."""
        self._settled(self, self._name, status)
        if self._client is None:
            return
        if self._started_answer:
            self._client.abort()
            return
        request = self.request
        only_head = request.method == b"HEAD"
        close = not request.keep_alive
        self._client.send(answer(status, message, deployment=self._name, close=close, head_only=only_head))
        self._client.done(keep_alive=request.keep_alive)
