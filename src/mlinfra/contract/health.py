"""How a deployment does, as the platform's metrics tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
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


def middle(medians: Mapping[datetime, float], requests: Mapping[datetime, float]) -> float | None:
    """The median of all requests, as near as periods' own medians tell it: each is weighted by its requests.

    Both by the moments of the periods; one of which no requests are told counts as one. None without any.
    """
    half = sum(requests.get(at, 1.0) for at in medians) / 2
    passed = 0.0
    for at, value in sorted(medians.items(), key=lambda item: item[1]):
        passed += requests.get(at, 1.0)
        if passed >= half:
            return value
    return None
