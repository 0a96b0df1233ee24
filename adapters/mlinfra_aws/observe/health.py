"""CloudWatch's figures of one variant as the portable ones."""

from __future__ import annotations

from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from mlinfra.contract.health import Health, middle
from mlinfra_aws.observe.words import time_of
from mlinfra_aws.render.endpoint_calls import MICROSECONDS
from mlinfra_aws.render.endpoints import METRIC_DELAY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.contract.requests import Document
    from mlinfra.environment import Environment


def health(
    replies: Mapping[str, Document | None],
    since: datetime,
    environment: Environment,  # noqa: ARG001  the contract's signature
) -> Health:
    """GetMetricData. Counts whole minutes, from the one in which `since` lies to the newest that is complete.

    `InvocationModelErrors` holds whatever was not answered with 2xx; without the 4xx these are our errors. A latency
    over several minutes is the worst minute's for p99, and the middle one's, by requests, for p50.
    """
    reply = replies["health"]
    if reply is None:
        return Health(since=since, as_of=since, requests=0, errors=0)
    series = {each["Id"]: _points(each) for each in reply.get("MetricDataResults", [])}
    end = _complete_until(reply, series, since)
    whole = {name: {at: value for at, value in points.items() if at < end} for name, points in series.items()}
    median = middle(whole.get("p50", {}), whole.get("requests", {}))
    sums = {name: sum(whole.get(name, {}).values()) for name in _COUNTS}
    return Health(
        since=since,
        as_of=max(since, end),
        requests=round(sums["requests"]),
        errors=round(max(sums["errors"], sums["failed"] - sums["rejected"])),
        rejected=round(sums["rejected"]),
        p50=None if median is None else median / MICROSECONDS,
        p99=max((value / MICROSECONDS for value in whole.get("p99", {}).values()), default=None),
    )


_COUNTS = ("requests", "failed", "rejected", "errors")


def _points(result: Mapping[str, Any]) -> dict[datetime, float]:
    """Start of a minute -> value."""
    moments = (time_of(text) for text in result["Timestamps"])
    return {at: float(value) for at, value in zip(moments, result["Values"], strict=True) if at is not None}


def _complete_until(reply: Document, series: Mapping[str, Mapping[datetime, float]], since: datetime) -> datetime:
    """The end of the newest complete minute by CloudWatch's own clock; without it, the start of the newest told."""
    date = reply.get("Date")
    if date:
        seen = parsedate_to_datetime(date) - timedelta(seconds=METRIC_DELAY)
        return seen.replace(second=0, microsecond=0)
    return max((at for points in series.values() for at in points), default=since)
