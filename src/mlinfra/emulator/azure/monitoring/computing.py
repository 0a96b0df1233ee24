"""Values of metrics, aggregated: over time into periods, over dimensions into series.

After "Azure Monitor Metrics aggregation and display explained": an average is the sum of the values divided by their
number, whatever series they come from.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from mlinfra.emulator.metrics import Bucket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from mlinfra.emulator.azure.monitoring.filters import Condition
    from mlinfra.emulator.metrics import Series

RESOURCE = "resource"  # the dimension that holds a resource's id in lower case
AGGREGATIONS: Mapping[str, Callable[[Bucket], float]] = {
    "average": lambda bucket: bucket.average,
    "minimum": lambda bucket: bucket.smallest,
    "maximum": lambda bucket: bucket.largest,
    "total": lambda bucket: bucket.total,
    "count": lambda bucket: float(bucket.count),
}


@dataclass(frozen=True)
class Line:
    """One series: the dimensions that set it apart, and its periods by their begin, without those that are empty."""

    dimensions: Mapping[str, str]
    buckets: Mapping[datetime, Bucket]


@dataclass(frozen=True)
class Span:
    """From when to when, in periods of so many seconds that begin at `start`."""

    start: datetime
    end: datetime
    period: int

    @property
    def starts(self) -> list[datetime]:
        """When each period begins."""
        count = max(0, -int(-(self.end - self.start).total_seconds() // self.period))
        return [self.start + timedelta(seconds=self.period * number) for number in range(count)]


def lines(
    series: Series,
    resource: str,
    metric: str,
    conditions: Sequence[Condition],
    span: Span,
    *,
    rolled: Iterable[str] = (),
) -> list[Line]:
    """The series of a resource's metric that conditions mean, split by their dimensions but those rolled up."""
    kept = [each.dimension for each in conditions if each.splits and each.dimension.lower() not in set(rolled)]
    groups: dict[tuple[str, ...], dict[datetime, list[float]]] = {}
    for known in series.known(metric, {RESOURCE: resource.lower()}):
        has = {name.lower(): value for name, value in known.dimensions.items()}
        if not all(each.holds(has.get(each.dimension.lower(), "")) for each in conditions):
            continue
        periods = groups.setdefault(tuple(has.get(name.lower(), "") for name in kept), {})
        for moment in series.query(metric, known.dimensions, span.start, span.end, 1):
            if span.start <= moment.start < span.end:
                number = int((moment.start - span.start).total_seconds() // span.period)
                begin = span.start + timedelta(seconds=span.period * number)
                periods.setdefault(begin, []).extend(moment.values)
    return [
        Line(
            dict(zip(kept, key, strict=True)),
            {begin: Bucket(begin, tuple(sorted(values))) for begin, values in sorted(periods.items())},
        )
        for key, periods in groups.items()
        if periods
    ]
