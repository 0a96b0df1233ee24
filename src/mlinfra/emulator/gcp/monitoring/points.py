"""Values over time as Cloud Monitoring computes with them: numbers, or distributions, which here keep every value."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from mlinfra.emulator.gcp.monitoring.descriptors import MetricKind, ValueType

Value = float | tuple[float, ...]


class Point(NamedTuple):
    """A value and its interval; `begin` is `end` where it holds at a moment."""

    begin: datetime
    end: datetime
    value: Value


@dataclass(frozen=True)
class Line:
    """One time series; its points from old to new."""

    fields: Mapping[str, str]  # "metric.type", "metric.labels.K", "resource.type", "resource.labels.K"
    kind: MetricKind
    value: ValueType
    points: tuple[Point, ...] = field(default=())

    def with_points(self, kind: MetricKind, value: ValueType, points: Sequence[Point]) -> Line:
        """The same series with what was computed of it."""
        return replace(self, kind=kind, value=value, points=tuple(points))


def percentile(values: Sequence[float], p: float) -> float:
    """The value below which p per cent lie, by linear interpolation; p from 0 to 100. At least one value."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * p / 100
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def deviation(values: Sequence[float]) -> float:
    """The standard deviation of a population."""
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))


def flat(values: Sequence[Value]) -> list[float]:
    """All numbers of several values."""
    found: list[float] = []
    for value in values:
        found.extend(value if isinstance(value, tuple) else (value,))
    return found
