"""Where an endpoint's requests go at this moment, and how many of them each fleet has under way."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Generic, TypeVar

from mlinfra.emulator.hosting.split import Split

if TYPE_CHECKING:
    from collections.abc import Sequence

F = TypeVar("F", bound=Hashable)


@dataclass(frozen=True)
class Route(Generic[F]):
    """A fleet's part: of all requests by `weight`, and of those that name its variant by `share`."""

    variant: str
    fleet: F
    weight: float
    share: float


class Routes(Generic[F]):
    """Thread-safe. A fleet that has left the routes and is quiet gets nothing any more."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._all: Split[F] = Split({})
        self._by_variant: dict[str, Split[F]] = {}
        self._under_way: dict[F, int] = {}

    def replace(self, routes: Sequence[Route[F]]) -> None:
        """Split by these from the next request on."""
        variants = {route.variant for route in routes}
        with self._lock:
            self._all = Split({route.fleet: route.weight for route in routes})
            self._by_variant = {
                name: Split({route.fleet: route.share for route in routes if route.variant == name})
                for name in variants
            }

    def enter(self, variant: str | None = None) -> F | None:
        """Send a request to a fleet, of that variant if one is named; None where there is none. `leave` follows."""
        with self._lock:
            split = self._all if variant is None else self._by_variant.get(variant)
            fleet = split.next() if split else None
            if fleet is not None:
                self._under_way[fleet] = self._under_way.get(fleet, 0) + 1
            return fleet

    def leave(self, fleet: F) -> None:
        """A request has been answered."""
        with self._lock:
            self._under_way[fleet] -= 1
            if not self._under_way[fleet]:
                del self._under_way[fleet]

    def under_way(self, fleet: F) -> int:
        """How many requests a fleet has."""
        with self._lock:
            return self._under_way.get(fleet, 0)
