"""Alignment and reduction: the two steps in which time series are aggregated.

After the description of Aggregation in the discovery document of monitoring v3: what each aligner and each reducer
computes, of which kinds and types, and what comes out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from mlinfra.emulator.gcp.monitoring.points import Line, Point, Value, deviation, flat, percentile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from mlinfra.emulator.gcp.monitoring.descriptors import MetricKind, ValueType

NUMERIC = frozenset({"INT64", "DOUBLE"})
DISTRIBUTION = frozenset({"DISTRIBUTION"})
_BOTH = NUMERIC | DISTRIBUTION
_GAUGE, _DELTA = frozenset({"GAUGE"}), frozenset({"DELTA"})
_ANY = _GAUGE | _DELTA
_SECOND = timedelta(seconds=1)


class NotValid(ValueError):
    """The aligner or reducer does not apply to such a series."""


@dataclass(frozen=True)
class Rule:
    """What one aligner or reducer does with the values that it gets together, and what for. None keeps kind or type."""

    compute: Callable[[Sequence[Value], float], Value]  # the values, and the period in seconds
    values: frozenset[str]
    kinds: frozenset[str] = _ANY
    kind: MetricKind | None = None
    value: ValueType | None = None


def _sum(values: Sequence[Value], _period: float) -> Value:
    """Numbers added up; distributions put together."""
    if isinstance(values[0], tuple):
        return tuple(flat(values))
    return math.fsum(flat(values))


def _rate(values: Sequence[Value], period: float) -> Value:
    return math.fsum(flat(values)) / period


def _mean(values: Sequence[Value], _period: float) -> Value:
    numbers = flat(values)
    return math.fsum(numbers) / len(numbers) if numbers else 0.0


def _count(values: Sequence[Value], _period: float) -> Value:
    return float(len(values))


def _percentile(p: float) -> Callable[[Sequence[Value], float], Value]:
    def compute(values: Sequence[Value], _period: float) -> Value:
        numbers = flat(values)
        return percentile(numbers, p) if numbers else 0.0

    return compute


_PERCENTILES = {"99": 99.0, "95": 95.0, "50": 50.0, "05": 5.0}
ALIGNERS: dict[str, Rule] = {
    "ALIGN_DELTA": Rule(_sum, _BOTH, _DELTA),
    "ALIGN_RATE": Rule(_rate, NUMERIC, _DELTA, "GAUGE", "DOUBLE"),
    "ALIGN_NEXT_OLDER": Rule(lambda values, _period: values[-1], _BOTH, _GAUGE),
    "ALIGN_MIN": Rule(lambda values, _period: min(flat(values)), NUMERIC, kind="GAUGE"),
    "ALIGN_MAX": Rule(lambda values, _period: max(flat(values)), NUMERIC, kind="GAUGE"),
    "ALIGN_MEAN": Rule(_mean, NUMERIC, kind="GAUGE", value="DOUBLE"),
    "ALIGN_COUNT": Rule(_count, NUMERIC, kind="GAUGE", value="INT64"),
    "ALIGN_SUM": Rule(_sum, _BOTH),
    "ALIGN_STDDEV": Rule(lambda values, _period: deviation(flat(values)), NUMERIC, kind="GAUGE", value="DOUBLE"),
    **{
        f"ALIGN_PERCENTILE_{name}": Rule(_percentile(p), DISTRIBUTION, kind="GAUGE", value="DOUBLE")
        for name, p in _PERCENTILES.items()
    },
}
REDUCERS: dict[str, Rule] = {
    "REDUCE_MEAN": Rule(_mean, _BOTH, value="DOUBLE"),
    "REDUCE_MIN": Rule(lambda values, _period: min(flat(values)), NUMERIC),
    "REDUCE_MAX": Rule(lambda values, _period: max(flat(values)), NUMERIC),
    "REDUCE_SUM": Rule(_sum, _BOTH),
    "REDUCE_STDDEV": Rule(lambda values, _period: deviation(flat(values)), _BOTH, value="DOUBLE"),
    "REDUCE_COUNT": Rule(_count, _BOTH, value="INT64"),
    **{f"REDUCE_PERCENTILE_{name}": Rule(_percentile(p), _BOTH, value="DOUBLE") for name, p in _PERCENTILES.items()},
}


def align(line: Line, aligner: str, period: int, start: datetime, end: datetime) -> Line:
    """One point for each period that holds one; the periods end at `end` and every `period` seconds before it.

    Raises:
        NotValid: the aligner is not for such a series.
    """
    rule = _rule(ALIGNERS, aligner, line)
    kind, value = rule.kind or line.kind, rule.value or line.value
    length = timedelta(seconds=period)
    held: dict[int, list[Value]] = {}
    for point in line.points:
        held.setdefault(int((end - point.end) // length), []).append(point.value)
    points = []
    for number in sorted(held, reverse=True):
        until = end - number * length
        if until > start:
            begin = until if kind == "GAUGE" else until - length
            points.append(Point(begin, until, rule.compute(held[number], float(period))))
    return line.with_points(kind, value, points)


def reduce(lines: Sequence[Line], reducer: str, kept: Sequence[str], period: int) -> list[Line]:
    """One series for each combination of the fields that are kept, of series that were aligned alike.

    Raises:
        NotValid: the reducer is not for such series.
    """
    groups: dict[tuple[str, ...], list[Line]] = {}
    names = ("resource.type", "metric.type", "resource.labels.project_id", *kept)
    for line in lines:
        groups.setdefault(tuple(line.fields.get(name, "") for name in names), []).append(line)
    return [_reduced(group, reducer, dict(zip(names, key, strict=True)), period) for key, group in groups.items()]


def _reduced(group: Sequence[Line], reducer: str, fields: Mapping[str, str], period: int) -> Line:
    first = group[0]
    rule = _rule(REDUCERS, reducer, first)
    at: dict[tuple[datetime, datetime], list[Value]] = {}
    for line in group:
        for point in line.points:
            at.setdefault((point.begin, point.end), []).append(point.value)
    points = [Point(*interval, rule.compute(at[interval], float(period))) for interval in sorted(at)]
    return Line(fields, rule.kind or first.kind, rule.value or first.value, tuple(points))


def _rule(rules: Mapping[str, Rule], name: str, line: Line) -> Rule:
    rule = rules[name]
    if line.value not in rule.values or line.kind not in rule.kinds:
        raise NotValid(
            f"The {'aligner' if rules is ALIGNERS else 'reducer'} {name} cannot be applied to metrics with kind "
            f"{line.kind} and value type {line.value}."
        )
    return rule
