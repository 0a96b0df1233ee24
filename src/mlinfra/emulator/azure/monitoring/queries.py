"""What a call of Metrics - List asks for, read from its query and held against the resource type's metrics.

After the reference of Metrics - List (Azure Monitor REST API, 2023-10-01).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from mlinfra.emulator.azure.endpoints.durations import told
from mlinfra.emulator.azure.monitoring import filters
from mlinfra.emulator.azure.monitoring.computing import AGGREGATIONS, Span
from mlinfra.emulator.azure.wire import refusals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.emulator.azure.monitoring.descriptors import Descriptor
    from mlinfra.emulator.calls import Refusal

FULL = "FULL"
GRAINS: Mapping[str, int] = {
    "PT1M": 60,
    "PT5M": 300,
    "PT15M": 900,
    "PT30M": 1800,
    "PT1H": 3600,
    "PT6H": 21600,
    "PT12H": 43200,
    "P1D": 86400,
}
_USUAL_SPAN = timedelta(hours=1)
_USUAL_TOP = 10


@dataclass(frozen=True)
class Query:
    """One call."""

    metrics: tuple[Descriptor, ...]
    aggregations: tuple[str, ...]  # in lower case
    conditions: tuple[filters.Condition, ...]
    rolled: frozenset[str]
    span: Span
    interval: str
    top: int
    only_metadata: bool

    @property
    def timespan(self) -> str:
        """As the service tells it."""
        return f"{stamp(self.span.start)}/{stamp(self.span.end)}"


def read(query: Mapping[str, str], kind: str, known: Mapping[str, Descriptor], now: datetime) -> Query:
    """What a query asks for of a resource of a type, whose metrics are `known`.

    Raises:
        Refusal: BadRequest, it asks for what is not there, or in a way that is none.
    """
    metrics = _metrics(query.get("metricnames", ""), kind, known)
    aggregations = tuple(
        each.strip().lower()
        for each in (query.get("aggregation") or metrics[0].aggregations[0]).split(",")
        if each.strip()
    )
    for each in aggregations:
        if each not in AGGREGATIONS:
            raise bad(f"Invalid aggregation '{each}'. Valid values: Average, Minimum, Maximum, Total, Count.")
    try:
        conditions = tuple(filters.read(query.get("$filter", "")))
    except filters.BadFilter as exc:
        raise bad(f"Invalid filter '{query['$filter']}': {exc}.") from None
    _check_dimensions(metrics, [each.dimension for each in conditions])
    span, interval = _span(query, now)
    top = query.get("top") or query.get("$top") or str(_USUAL_TOP)
    if not top.isdigit() or int(top) < 1:
        raise bad(f"Invalid value '{top}' of top.")
    return Query(
        metrics=metrics,
        aggregations=aggregations,
        conditions=conditions,
        rolled=frozenset(each.strip().lower() for each in query.get("rollupby", "").split(",") if each.strip()),
        span=span,
        interval=interval,
        top=int(top),
        only_metadata=query.get("resultType", "").lower() == "metadata",
    )


def bad(message: str) -> Refusal:
    """The call breaks a rule."""
    return refusals.refusal("BadRequest", message)


def stamp(moment: datetime) -> str:
    """A moment as Azure Monitor tells it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _metrics(names: str, kind: str, known: Mapping[str, Descriptor]) -> tuple[Descriptor, ...]:
    asked = [each.strip() for each in names.split(",") if each.strip()] or [next(iter(known))]
    lower = {name.lower(): each for name, each in known.items()}
    for name in asked:
        if name.lower() not in lower:
            provider, _, rest = kind.partition("/")
            raise bad(
                f"Failed to find metric configuration for provider: {provider}, resource Type: {rest}, metric: {name}, "
                f"Valid metrics: {','.join(known)}"
            )
    return tuple(lower[name.lower()] for name in asked)


def _check_dimensions(metrics: tuple[Descriptor, ...], asked: list[str]) -> None:
    for metric in metrics:
        has = {name.lower() for name in metric.dimensions}
        if any(name.lower() not in has for name in asked):
            raise bad(
                f"Metric: {metric.name} does not support requested dimension combination: {','.join(asked)}, supported "
                f"ones are: {','.join(metric.dimensions)}"
            )


def _span(query: Mapping[str, str], now: datetime) -> tuple[Span, str]:
    text = query.get("timespan", "")
    begin, sign, end = text.partition("/")
    if text and not sign:
        raise bad(f"Invalid time span '{text}'.")
    start, until = (_moment(begin), _moment(end)) if text else (now - _USUAL_SPAN, now)
    if until <= start:
        raise bad(f"Invalid time span '{text}': it ends before it begins.")
    interval = query.get("interval") or "PT1M"
    if interval.upper() == FULL:
        seconds = int((until - start).total_seconds()) or 1
        return Span(start.replace(microsecond=0), until, seconds), told(float(seconds))
    if interval.upper() not in GRAINS:
        raise bad(f"Detected invalid time grain input: {interval}, supported ones are: {', '.join(GRAINS)}.")
    seconds = GRAINS[interval.upper()]
    first = start - timedelta(seconds=start.timestamp() % seconds)
    return Span(first, until, seconds), interval.upper()


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise bad(f"Invalid time '{text}' in the time span.") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
