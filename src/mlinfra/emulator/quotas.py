"""Limits of an account: calls a second, and how many of something may be at once."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from mlinfra.emulator.patterns import matches

if TYPE_CHECKING:
    from mlinfra.emulator.calls import Call
    from mlinfra.emulator.clock import Clock

_ROUNDING = 1e-9  # of a token: sums of refills are not exact


@dataclass
class _Bucket:
    """A token bucket in virtual time."""

    rate: float  # tokens a second
    burst: float  # what it holds at most, and at first
    tokens: float
    filled: float  # the virtual second of the last refill

    def wait(self, now: float) -> float:
        """Seconds until there is a token."""
        self.tokens = min(self.burst, self.tokens + (now - self.filled) * self.rate)
        self.filled = now
        return max(0.0, (1 - self.tokens) / self.rate) if self.tokens < 1 - _ROUNDING else 0.0


class Quotas:
    """Rates by operation and ceilings by name. Switched off, nothing is limited. Thread-safe."""

    def __init__(self, clock: Clock, *, enforced: bool = True) -> None:
        self.enforced = enforced
        self._clock = clock
        self._lock = Lock()
        self._buckets: dict[tuple[str, str], _Bucket] = {}
        self._ceilings: dict[str, int] = {}

    def limit(self, service: str, operation: str, per_second: float, burst: float = 1.0) -> None:
        """Allow so many calls a second of an operation, `burst` of them at once.

        Patterns share one allowance: `limit("aiplatform", "*", 10)` counts all operations together.
        """
        if per_second <= 0 or burst < 1:
            raise ValueError("a rate is above 0 and a burst at least 1")
        with self._lock:
            now = self._clock.monotonic()
            self._buckets[service, operation] = _Bucket(per_second, burst, burst, now)

    def take(self, call: Call) -> float:
        """Count a call. Returns 0 where it is within every limit, else the seconds after which it would be."""
        if not self.enforced:
            return 0.0
        with self._lock:
            now = self._clock.monotonic()
            drawn = [
                bucket
                for (service, operation), bucket in self._buckets.items()
                if matches(service, call.service) and matches(operation, call.operation)
            ]
            wait = max((bucket.wait(now) for bucket in drawn), default=0.0)
            if wait == 0:
                for bucket in drawn:
                    bucket.tokens -= 1
            return wait

    def left(self, service: str, operation: str) -> float | None:
        """How many calls the allowance of exactly these patterns has left; None where there is no such."""
        with self._lock:
            bucket = self._buckets.get((service, operation))
            if bucket is None:
                return None
            bucket.wait(self._clock.monotonic())
            return bucket.tokens

    def ceiling(self, name: str, count: int) -> None:
        """Allow at most so many of something at once."""
        with self._lock:
            self._ceilings[name] = count

    def ceiling_of(self, name: str) -> int | None:
        """How many may be at once; None where there is no limit, or none is enforced."""
        with self._lock:
            return self._ceilings.get(name) if self.enforced else None

    def fits(self, name: str, used: int, more: int = 1) -> bool:
        """Whether so many more may be added to those that are in use."""
        ceiling = self.ceiling_of(name)
        return ceiling is None or used + more <= ceiling
