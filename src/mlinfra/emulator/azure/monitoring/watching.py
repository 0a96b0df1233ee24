"""Whether metrics breach what autoscale rules and metric alerts say of them."""

from __future__ import annotations

import operator
from datetime import timedelta
from typing import TYPE_CHECKING

from mlinfra.emulator.azure.monitoring.computing import AGGREGATIONS, Span, lines
from mlinfra.emulator.azure.monitoring.filters import Condition
from mlinfra.emulator.metrics import Bucket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from mlinfra.emulator.azure.monitoring.shapes import Criterion, MetricTrigger
    from mlinfra.emulator.metrics import Series

COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "Equals": operator.eq,
    "NotEquals": operator.ne,
    "GreaterThan": operator.gt,
    "GreaterThanOrEqual": operator.ge,
    "LessThan": operator.lt,
    "LessThanOrEqual": operator.le,
}
_STATISTICS = {"Average": "average", "Min": "minimum", "Max": "maximum", "Sum": "total", "Count": "count"}


def triggered_by(series: Series, trigger: MetricTrigger, now: datetime) -> float | None:
    """The value that a trigger compares: the statistic of each grain, aggregated over the window; None without data."""
    grain = max(60, int(trigger.time_grain.total_seconds()))
    until = now - timedelta(seconds=now.timestamp() % 60)
    window = int(trigger.time_window.total_seconds())
    span = Span(until - timedelta(seconds=window), until, grain)
    conditions = [
        Condition(
            each.dimension_name, tuple(("eq" if each.operator == "Equals" else "ne", value) for value in each.values)
        )
        for each in trigger.dimensions or ()
    ]
    buckets = _together(series, trigger.metric_resource_uri, trigger.metric_name, conditions, span)
    values = [AGGREGATIONS[_STATISTICS[trigger.statistic]](each) for each in buckets]
    if not values:
        return None
    if trigger.time_aggregation == "Last":
        return values[-1]
    return AGGREGATIONS[trigger.time_aggregation.lower()](Bucket(until, tuple(sorted(values))))


def breaches(series: Series, scope: str, criterion: Criterion, window: timedelta, now: datetime) -> bool:
    """Whether a criterion holds of a resource over the window that ends now."""
    seconds = max(60, int(window.total_seconds()))
    conditions = [
        Condition(each.name, tuple(("eq" if each.operator == "Include" else "ne", value) for value in each.values))
        for each in criterion.dimensions or ()
    ]
    span = Span(now - timedelta(seconds=seconds), now, seconds)
    buckets = _together(series, scope, criterion.metric_name, conditions, span)
    if not buckets:
        return False
    return COMPARISONS[criterion.operator](
        AGGREGATIONS[criterion.time_aggregation.lower()](buckets[0]), criterion.threshold
    )


def _together(series: Series, resource: str, metric: str, conditions: Iterable[Condition], span: Span) -> list[Bucket]:
    """Each period's values of every series that is meant, in order; periods without values are missing."""
    found = lines(series, resource, metric, list(conditions), span)
    values: dict[datetime, list[float]] = {}
    for line in found:
        for begin, bucket in line.buckets.items():
            values.setdefault(begin, []).extend(bucket.values)
    return [Bucket(begin, tuple(sorted(values[begin]))) for begin in sorted(values)]
