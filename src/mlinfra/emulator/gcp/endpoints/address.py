"""Dedicated endpoints' addresses of their own.

The service gives each one a DNS name. Names below `localhost` do not resolve on every machine, so here it is a port of
its own, with the same certificate and both protocols.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlinfra.emulator.gcp.wire.secureport import SecurePort


class Address:
    """The TLS port of one endpoint."""

    def __init__(self, port: SecurePort, forget: Callable[[], None]) -> None:
        self.port = port
        self.dns = f"localhost:{port.port}"
        self._forget = forget

    def close(self) -> None:
        """Take no more connections. Safe to repeat."""
        self._forget()
        self.port.stop()


class Addresses:
    """All of them, by the endpoint's name. Connections are known by the port at which they go on behind TLS."""

    def __init__(self, make: Callable[[], SecurePort]) -> None:
        self._make = make
        self._lock = Lock()
        self._open: dict[str, Address] = {}

    def open(self, owner: str) -> Address:
        """A new address. OSError where no port is to be had."""
        port = self._make()
        port.start()
        address = Address(port, lambda: self._drop(owner))
        with self._lock:
            self._open[owner] = address
        return address

    def owner(self, inner: int) -> str:
        """Whose address a connection came to; empty where it is the regional one, which everybody shares."""
        with self._lock:
            return next((owner for owner, each in self._open.items() if each.port.carries(inner)), "")

    def cut(self, inner: int) -> None:
        """End a connection without another byte, where it came to one of these addresses."""
        with self._lock:
            carrying = [each for each in self._open.values() if each.port.carries(inner)]
        for each in carrying:
            each.port.cut(inner)

    def _drop(self, owner: str) -> None:
        with self._lock:
            self._open.pop(owner, None)
