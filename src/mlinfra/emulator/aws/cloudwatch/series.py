"""Metrics in CloudWatch's words over the emulator's series: namespaces, dimensions, queries, expressions.

An expression is metric math over other queries, or a query of Metrics Insights.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import floor
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.aws.cloudwatch import insights, statistics
from mlinfra.emulator.aws.cloudwatch.expressions import NotUnderstood, evaluate
from mlinfra.emulator.calls import Refusal
from mlinfra.emulator.metrics import Bucket

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlinfra.emulator.metrics import Series

_APART = "\x1f"  # between namespace and name, where no name can hold it
_SHORT_PERIODS = frozenset({1, 5, 10, 20, 30})
_MINUTE = 60
NO_UNIT = "None"


def invalid(message: str, code: str = "InvalidParameterValue") -> Refusal:
    """A refusal of CloudWatch's."""
    return Refusal(code, message)


def key(namespace: str, name: str) -> str:
    """The series' name of a metric."""
    return f"{namespace}{_APART}{name}"


def parted(series: str) -> tuple[str, str]:
    """Namespace and name of a series; the namespace is empty for what is no metric of CloudWatch's."""
    namespace, apart, name = series.partition(_APART)
    return (namespace, name) if apart else ("", series)


def dimensions(listed: Sequence[Mapping[str, str]] | None) -> dict[str, str]:
    """Dimensions as the API has them, as a map."""
    return {each["Name"]: each["Value"] for each in listed or ()}


def check_period(period: int) -> None:
    """Refuse a period that CloudWatch does not take."""
    if period not in _SHORT_PERIODS and (period < _MINUTE or period % _MINUTE):
        raise invalid(f"Period must be 1, 5, 10, 20, 30 or a multiple of 60, not {period}")


def check_statistic(name: str) -> None:
    """Refuse a statistic that is not emulated."""
    if not statistics.is_known(name):
        raise invalid(f"The statistic {name} is not emulated; SampleCount, Average, Sum, Minimum, Maximum, pNN are")


def aligned(moment: datetime, period: float) -> float:
    """The start of the period that holds a moment, in seconds since the epoch."""
    return floor(moment.timestamp() / period) * period


def buckets(series: Series, metric: Mapping[str, Any], start: datetime, end: datetime, period: int) -> list[Bucket]:
    """What was measured of a metric {Namespace, MetricName, Dimensions, Unit}; where it names a unit only in that."""
    name, has = key(metric.get("Namespace", ""), metric["MetricName"]), dimensions(metric.get("Dimensions"))
    unit = metric.get("Unit")
    if unit and unit not in {known.unit or NO_UNIT for known in series.known(name, has) if known.dimensions == has}:
        return []
    return series.query(name, has, start, end, period)


def values(
    series: Series, queries: Sequence[Mapping[str, Any]], start: datetime, end: datetime
) -> dict[str, dict[float, float]]:
    """The values of each MetricDataQuery by its Id, by the start of each period in seconds since the epoch.

    Raises:
        Refusal: a query has neither metric nor expression, an expression is not understood, or there are two queries
            of Metrics Insights.
    """
    if sum(map(is_insight, queries)) > 1:
        raise invalid("A request can hold only one Metrics Insights query.", "ValidationError")
    found: dict[str, dict[float, float]] = {}
    period = max([int(query["MetricStat"]["Period"]) for query in queries if "MetricStat" in query], default=_MINUTE)
    for query in queries:
        if "MetricStat" in query:
            found[query["Id"]] = _measured(series, query["MetricStat"], start, end)
        elif is_insight(query):
            found[query["Id"]] = _selected(series, query, start, end)
    pending = [query for query in queries if query["Id"] not in found]
    for query in _in_order(pending):
        if "Expression" not in query:
            raise invalid(f"The query {query['Id']} has neither MetricStat nor Expression")
        step = int(query.get("Period", period))
        first, last = aligned(start, step), end.timestamp()
        moments = [first + step * turn for turn in range(max(0, int((last - first - 1e-6) // step) + 1))]
        try:
            found[query["Id"]] = evaluate(query["Expression"], found, moments)
        except NotUnderstood as exc:
            raise invalid(f"Error in expression '{query['Id']}': {exc}", "ValidationError") from exc
    return found


def is_insight(query: Mapping[str, Any]) -> bool:
    """Whether a MetricDataQuery is one of Metrics Insights."""
    return insights.is_query(query.get("Expression", ""))


def _in_order(queries: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Expressions after those that they name; a circle stays in the order given, and is refused when evaluated."""
    waiting, ordered = list(queries), []
    while waiting:
        names = {query["Id"] for query in waiting}
        free = [
            query for query in waiting if not any(name in query.get("Expression", "") for name in names - {query["Id"]})
        ]
        ordered += free or waiting
        waiting = [query for query in waiting if query not in ordered]
    return ordered


def _measured(series: Series, stat: Mapping[str, Any], start: datetime, end: datetime) -> dict[float, float]:
    check_period(stat["Period"])
    check_statistic(stat["Stat"])
    metric = {**stat["Metric"], "Unit": stat.get("Unit")}
    return {
        bucket.start.timestamp(): statistics.value(bucket, stat["Stat"])
        for bucket in buckets(series, metric, start, end, stat["Period"])
    }


def _selected(series: Series, query: Mapping[str, Any], start: datetime, end: datetime) -> dict[float, float]:
    """The observations of all metrics that a query of Metrics Insights matches, taken together."""
    if "Period" not in query:
        raise invalid(
            f"The query {query['Id']} needs a Period: Metrics Insights has none of its own", "ValidationError"
        )
    check_period(query["Period"])
    asked = insights.parse(query["Expression"])
    name = key(asked.namespace, asked.metric)
    observed: dict[datetime, list[float]] = {}
    for metric in series.known(name):
        if asked.fits(metric.dimensions):
            for bucket in series.query(name, metric.dimensions, start, end, query["Period"]):
                observed.setdefault(bucket.start, []).extend(bucket.values)
    return {
        begin.timestamp(): statistics.value(Bucket(begin, tuple(sorted(values))), asked.statistic)
        for begin, values in sorted(observed.items())
    }


def window(end: float, period: int, number: int) -> tuple[datetime, datetime, list[float]]:
    """The last periods until a moment: their begin, their end, and the start of each."""
    first = end - period * number
    begin = datetime.fromtimestamp(first, UTC)
    return begin, begin + timedelta(seconds=period * number), [first + period * turn for turn in range(number)]
