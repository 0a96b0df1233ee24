"""Measured values over time, as every cloud's monitoring keeps them: by name and dimensions, asked for by period."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mlinfra.emulator.clock import Clock

Dimensions = frozenset[tuple[str, str]]


class Metric(NamedTuple):
    """One series: its name, its dimensions, and the unit of its first value."""

    name: str
    dimensions: dict[str, str]
    unit: str


@dataclass(frozen=True)
class Bucket:
    """What was measured in one period. `start` is aligned to the clock; `values` are in ascending order."""

    start: datetime
    values: tuple[float, ...]

    @property
    def count(self) -> int:
        """How many values."""
        return len(self.values)

    @property
    def total(self) -> float:
        """Their sum."""
        return math.fsum(self.values)

    @property
    def average(self) -> float:
        """Their mean."""
        return self.total / self.count

    @property
    def smallest(self) -> float:
        """The least value."""
        return self.values[0]

    @property
    def largest(self) -> float:
        """The greatest value."""
        return self.values[-1]

    def percentile(self, p: float) -> float:
        """The value below which p per cent lie, by linear interpolation; p from 0 to 100."""
        place = (self.count - 1) * p / 100
        low = math.floor(place)
        high = min(low + 1, self.count - 1)
        return self.values[low] + (self.values[high] - self.values[low]) * (place - low)


class _Second:
    """The values of one second, and when each became known."""

    __slots__ = ("known", "values")

    def __init__(self) -> None:
        self.known = array("d")
        self.values = array("d")


class _Line:
    """One series by the second."""

    __slots__ = ("seconds", "unit")

    def __init__(self, unit: str) -> None:
        self.unit = unit
        self.seconds: dict[int, _Second] = {}


class Series:
    """All series of an emulator. What is added becomes visible after `delay` virtual seconds. Thread-safe."""

    def __init__(self, clock: Clock, delay: float = 0.0) -> None:
        self.delay = delay
        self._clock = clock
        self._lock = Lock()
        self._lines: dict[tuple[str, Dimensions], _Line] = {}

    def add(
        self, name: str, dimensions: Mapping[str, str], value: float, at: datetime | None = None, unit: str = ""
    ) -> None:
        """Keep a value, measured at that moment, now if not given."""
        moment = (at or self._clock.now()).timestamp()
        known = self._clock.monotonic()
        key = (name, frozenset(dimensions.items()))
        with self._lock:
            line = self._lines.get(key)
            if line is None:
                line = self._lines[key] = _Line(unit)
            second = line.seconds.setdefault(math.floor(moment), _Second())
            second.known.append(known)
            second.values.append(value)

    def query(
        self,
        name: str,
        dimensions: Mapping[str, str],
        start: datetime,
        end: datetime,
        period: int,
        *,
        exact: bool = True,
    ) -> list[Bucket]:
        """The periods of `period` seconds from the one that holds `start` up to `end`, in order, without empty ones.

        `exact` asks for the series with just these dimensions, as CloudWatch does; else all that have them, among
        others, are taken together, as Azure Monitor and Cloud Monitoring aggregate.
        """
        if period < 1:
            raise ValueError("a period is at least one second")
        first = math.floor(start.timestamp() / period) * period
        last = math.ceil(end.timestamp())
        found: dict[int, list[float]] = {}
        with self._lock:
            for line in self._chosen(name, dimensions, exact=exact):
                for second, values in self._visible(line, first, last):
                    found.setdefault(second // period * period, []).extend(values)
        return [
            Bucket(datetime.fromtimestamp(begin, UTC), tuple(sorted(values))) for begin, values in sorted(found.items())
        ]

    def known(self, name: str = "", dimensions: Mapping[str, str] | None = None) -> list[Metric]:
        """The series of a name, all where it is empty, that have at least these dimensions and a visible value."""
        asked = frozenset((dimensions or {}).items())
        with self._lock:
            return [
                Metric(each, dict(sorted(has)), line.unit)
                for (each, has), line in self._lines.items()
                if name in {"", each} and asked <= has and any(self._visible(line))
            ]

    def clear(self) -> None:
        """Forget every value."""
        with self._lock:
            self._lines.clear()

    def _chosen(self, name: str, dimensions: Mapping[str, str], *, exact: bool) -> list[_Line]:
        asked = frozenset(dimensions.items())
        if exact:
            line = self._lines.get((name, asked))
            return [line] if line else []
        return [line for (each, has), line in self._lines.items() if each == name and asked <= has]

    def _visible(
        self, line: _Line, first: float = -math.inf, last: float = math.inf
    ) -> Iterable[tuple[int, list[float]]]:
        """The values of each second in the range that have become visible."""
        limit = self._clock.monotonic() - self.delay
        for second, kept in line.seconds.items():
            if first <= second < last:
                values = [value for value, known in zip(kept.values, kept.known, strict=True) if known <= limit]
                if values:
                    yield second, values
