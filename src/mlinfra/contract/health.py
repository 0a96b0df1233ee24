"""How a deployment does, as the platform's metrics tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True)
class Health:
    """Counts over [since, as_of]. Latencies are in seconds, None where there was no request.

    `errors` are 5xx answers, time-outs and lost connections. 4xx answers are `rejected` and no errors.
    `as_of` is the end of the newest complete metric period, so it may lag behind the clock.
    """

    since: datetime
    as_of: datetime
    requests: int
    errors: int
    rejected: int = 0
    p50: float | None = None
    p99: float | None = None

    @property
    def error_rate(self) -> float | None:
        """Errors per request, None without requests."""
        return self.errors / self.requests if self.requests else None
