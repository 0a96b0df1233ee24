"""projects.timeSeries.list: what a request asks for, and what is told of each series.

After the method's description in the discovery document of monitoring v3: parameters, limits, the order of points.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.gcp.monitoring import filters
from mlinfra.emulator.gcp.monitoring.computing import ALIGNERS, REDUCERS, NotValid, align, reduce
from mlinfra.emulator.gcp.wire import refusals

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlinfra.emulator.calls import Refusal
    from mlinfra.emulator.gcp.monitoring.points import Line, Point

LARGEST_PAGE = 100_000
_LEAST_PERIOD = 60  # s
_NO_ALIGNER, _NO_REDUCER = {"", "ALIGN_NONE"}, {"", "REDUCE_NONE"}
_BUCKETS = {"numFiniteBuckets": 66, "growthFactor": 1.4, "scale": 1.0}
_BOUNDS = [
    _BUCKETS["scale"] * _BUCKETS["growthFactor"] ** power for power in range(int(_BUCKETS["numFiniteBuckets"]) + 1)
]


@dataclass(frozen=True)
class Aggregation:
    """One step of aggregation: align, and then reduce, where they are asked for."""

    period: int = 0
    aligner: str = ""
    reducer: str = ""
    kept: tuple[str, ...] = ()


@dataclass(frozen=True)
class Query:
    """One request, read."""

    filter: filters.Filter
    start: datetime
    end: datetime
    steps: tuple[Aggregation, ...]
    headers_only: bool


def read(arguments: Any) -> Query:
    """The query of a request's parameters, a werkzeug MultiDict.

    Raises:
        Refusal: INVALID_ARGUMENT, a parameter is missing or breaks a rule.
    """
    if arguments.get("orderBy"):
        raise _invalid("orderBy", "must be left blank.")
    try:
        found = filters.read(arguments.get("filter", ""))
    except filters.BadFilter as exc:
        raise _invalid("filter", f"had an invalid value: {exc}.") from None
    if len(set(found.metrics)) != 1:
        raise _invalid("filter", 'must specify a single metric type: metric.type = "…".')
    end = _moment(arguments.get("interval.endTime"), "interval.endTime")
    start = _moment(arguments["interval.startTime"], "interval.startTime") if "interval.startTime" in arguments else end
    if start > end:
        raise _invalid("interval.startTime", "must not be later than the end time.")
    steps = [_step(arguments, name) for name in ("aggregation", "secondaryAggregation")]
    return Query(found, start, end, tuple(step for step in steps if step), arguments.get("view") == "HEADERS")


def computed(query: Query, lines: Sequence[Line]) -> list[Line]:
    """What becomes of the series that match, by the query's aggregations; those without a point left out.

    Raises:
        Refusal: INVALID_ARGUMENT, an aggregation is not for such series.
    """
    found = list(lines)
    try:
        for step in query.steps:
            found = [align(line, step.aligner, step.period, query.start, query.end) for line in found]
            if step.reducer not in _NO_REDUCER:
                found = reduce(found, step.reducer, step.kept, step.period)
    except NotValid as exc:
        raise refusals.invalid_argument(str(exc), "aggregation") from None
    return [line for line in found if line.points]


def told(line: Line, *, headers_only: bool) -> dict[str, Any]:
    """A TimeSeries, its points from new to old."""
    document: dict[str, Any] = {
        "metric": _labelled(line.fields, "metric"),
        "resource": _labelled(line.fields, "resource"),
        "metricKind": line.kind,
        "valueType": line.value,
    }
    if not headers_only:
        document["points"] = [_point(line, point) for point in reversed(line.points)]
    return document


def distribution(values: Sequence[float]) -> dict[str, Any]:
    """A Distribution over exponential buckets."""
    counts = [0] * (len(_BOUNDS) + 1)
    for value in values:
        counts[bisect_right(_BOUNDS, value)] += 1
    while counts and not counts[-1]:
        counts.pop()
    mean = math.fsum(values) / len(values) if values else 0.0
    return {
        "count": str(len(values)),
        "mean": mean,
        "sumOfSquaredDeviation": math.fsum((value - mean) ** 2 for value in values),
        "bucketOptions": {"exponentialBuckets": _BUCKETS},
        "bucketCounts": [str(count) for count in counts],
    }


def _step(arguments: Any, name: str) -> Aggregation | None:
    aligner = arguments.get(f"{name}.perSeriesAligner", "")
    reducer = arguments.get(f"{name}.crossSeriesReducer", "")
    if aligner in _NO_ALIGNER:
        if reducer not in _NO_REDUCER:
            raise _invalid(f"{name}.perSeriesAligner", "must be specified, and not ALIGN_NONE, to reduce.")
        return None
    if aligner not in ALIGNERS:
        raise _unknown(f"{name}.perSeriesAligner", aligner)
    if reducer not in _NO_REDUCER and reducer not in REDUCERS:
        raise _unknown(f"{name}.crossSeriesReducer", reducer)
    try:
        kept = tuple(filters.field(each) for each in arguments.getlist(f"{name}.groupByFields"))
    except filters.BadFilter as exc:
        raise _invalid(f"{name}.groupByFields", f"had an invalid value: {exc}.") from None
    period = _period(arguments.get(f"{name}.alignmentPeriod", ""), f"{name}.alignmentPeriod")
    return Aggregation(period, aligner, reducer, kept)


def _period(text: str, field: str) -> int:
    """A duration such as `60s`; the client libraries send `+60s` as well."""
    number = text.strip().removeprefix("+").removesuffix("s")
    try:
        seconds = float(number)
    except ValueError:
        seconds = 0.0
    if not text.endswith("s") or not math.isfinite(seconds) or seconds < _LEAST_PERIOD or seconds % 1:
        raise _invalid(field, f"had an invalid value of {text!r}: it must be at least 60s, in whole seconds.")
    return int(seconds)


def _moment(text: str | None, field: str) -> datetime:
    if not text:
        raise _invalid(field, "must be specified.")
    try:
        found = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise _invalid(field, f"had an invalid value of {text!r}: it must be a time by RFC 3339.") from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _labelled(fields: Mapping[str, str], part: str) -> dict[str, Any]:
    prefix = f"{part}.labels."
    labels = {name.removeprefix(prefix): value for name, value in fields.items() if name.startswith(prefix) and value}
    return {"type": fields[f"{part}.type"], **({"labels": labels} if labels else {})}


def _point(line: Line, point: Point) -> dict[str, Any]:
    interval = {"startTime": _text(point.begin), "endTime": _text(point.end)}
    if isinstance(point.value, tuple):
        return {"interval": interval, "value": {"distributionValue": distribution(point.value)}}
    if line.value == "INT64":
        return {"interval": interval, "value": {"int64Value": str(round(point.value))}}
    return {"interval": interval, "value": {"doubleValue": point.value}}


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _unknown(field: str, value: str) -> Refusal:
    if value.startswith(("ALIGN_", "REDUCE_")):
        return refusals.not_emulated(f"{field} {value}")
    return _invalid(field, f"had an invalid value of {value!r}.")


def _invalid(field: str, what: str) -> Refusal:
    return refusals.invalid_argument(f"Field {field} {what}", field)
