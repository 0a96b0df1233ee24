"""A split of traffic that was accepted, but that nobody sees and no request follows until a little later."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.emulator.clock import Clock


class Shares:
    """Percentages by deployment. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = Lock()
        self._seen: dict[str, int] = {}
        self._coming: list[tuple[float, dict[str, int]]] = []  # by when they are seen

    def set(self, shares: Mapping[str, int], delay: float) -> None:
        """Let these be in force after so many virtual seconds, and whatever is still to come be overtaken by then."""
        at = self._clock.monotonic() + delay
        with self._lock:
            self._coming = [each for each in self._coming if each[0] <= at] + [(at, dict(shares))]

    def now(self) -> dict[str, int]:
        """The split in force."""
        with self._lock:
            now = self._clock.monotonic()
            while self._coming and self._coming[0][0] <= now:
                _, self._seen = self._coming.pop(0)
            return dict(self._seen)

    def last(self) -> dict[str, int]:
        """The split that was accepted last, in force or not."""
        with self._lock:
            return dict(self._coming[-1][1] if self._coming else self._seen)
