"""The TLS port: gRPC and plain HTTP at one address, told apart by the protocol that the client asks for (ALPN).

The vendor's high-level client sends gRPC, REST and predictions to one `api_endpoint`, which cannot be told to be
plain. TLS ends here; behind it are the gRPC server and the HTTP server, each on a loopback port of its own.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

_LOOPBACK = "127.0.0.1"
_CHUNK = 256 * 1024
_LONGEST = 5.0  # s for opening, closing or cutting


class SecurePort:
    """Passes each connection on to the gRPC port where `h2` is all that the client speaks, else to the HTTP port."""

    def __init__(self, tls: ssl.SSLContext, http: Callable[[], int], grpc: Callable[[], int]) -> None:
        tls.set_alpn_protocols(["http/1.1", "h2"])
        self._tls = tls
        self._http = http
        self._grpc = grpc
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: asyncio.Event | None = None
        self._opened: Future[int] = Future()
        self._thread: threading.Thread | None = None
        self._clients: dict[int, asyncio.StreamWriter] = {}  # by the relay's own port on the inner side
        self._visits: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @property
    def port(self) -> int:
        """The port that it listens on; 0 before it has started."""
        return self._opened.result() if self._opened.done() else 0

    def start(self) -> None:
        """Listen and serve until `stop`. OSError where no port is to be had."""
        self._opened = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._live()), name="tls", daemon=True)
        self._thread.start()
        self._opened.result(_LONGEST)

    def stop(self) -> None:
        """Close the port and every connection. Safe to repeat."""
        if self._loop and self._ended and self._thread:
            self._loop.call_soon_threadsafe(self._ended.set)
            self._thread.join(_LONGEST)
        self._loop = self._ended = self._thread = None

    def cut(self, inner: int) -> None:
        """End the client's connection that goes on over that local port, without another byte."""
        done = threading.Event()

        def abort() -> None:
            client = self._clients.get(inner)
            if client:
                client.transport.abort()
            done.set()

        if self._loop:
            self._loop.call_soon_threadsafe(abort)
            done.wait(_LONGEST)

    async def _live(self) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        try:
            server = await asyncio.start_server(self._serve, _LOOPBACK, 0, ssl=self._tls)
        except OSError as exc:
            self._opened.set_exception(exc)
            return
        self._opened.set_result(server.sockets[0].getsockname()[1])
        await self._ended.wait()
        server.close()
        for client in self._visits.values():
            client.transport.abort()
        if self._visits:
            await asyncio.wait(self._visits, timeout=_LONGEST)

    def carries(self, inner: int) -> bool:
        """Whether a connection that goes on over that local port came in here."""
        return inner in self._clients

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visit = asyncio.current_task()
        if visit is None:
            raise AssertionError("connections are served in tasks")
        self._visits[visit] = writer
        try:
            await self._relay(reader, writer)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
            del self._visits[visit]

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Copy both ways until either end closes."""
        protocol = writer.get_extra_info("ssl_object").selected_alpn_protocol()
        port = self._grpc() if protocol == "h2" else self._http()
        try:
            inner_reader, inner_writer = await asyncio.open_connection(_LOOPBACK, port)
        except OSError:
            return
        own = inner_writer.get_extra_info("sockname")[1]
        self._clients[own] = writer
        ways = [asyncio.ensure_future(_copy(reader, inner_writer)), asyncio.ensure_future(_copy(inner_reader, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            del self._clients[own]
            for way in ways:
                way.cancel()
            inner_writer.close()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(_CHUNK):
            target.write(data)
            await target.drain()
