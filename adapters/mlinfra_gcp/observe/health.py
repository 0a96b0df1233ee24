"""Cloud Monitoring's figures of one deployed model as the portable ones."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from mlinfra.contract.health import Health, middle
from mlinfra_gcp.render.endpoint_calls import P50, P99, RESPONSES
from mlinfra_gcp.render.endpoints import METRIC_DELAY
from mlinfra_gcp.times import time_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlinfra.contract.requests import Document
    from mlinfra.environment import Environment

_MILLISECONDS = 1_000
_VALUES = ("int64Value", "doubleValue")  # of a TypedValue; int64 comes as a text


def health(
    replies: Mapping[str, Document | None],
    since: datetime,
    environment: Environment,  # noqa: ARG001  the contract's signature
) -> Health:
    """Three answers of timeSeries.list. Counts whole minutes, from that of `since` to the newest complete one.

    A request is an answer with any code. 5xx are errors: what was cut off or not answered in time is one to Vertex AI's
    front as well. A latency over several minutes is the worst minute's for p99, and the middle one's, by requests, for
    p50.
    """
    counts = replies.get(RESPONSES)
    if counts is None:
        return Health(since=since, as_of=since, requests=0, errors=0)
    start, end = since.replace(second=0, microsecond=0), _complete_until(replies, since)
    by_class: dict[str, float] = defaultdict(float)
    requests: dict[datetime, float] = defaultdict(float)
    for code, at, value in _points(counts):
        if start < at <= end:
            by_class[code[:1]] += value
            requests[at] += value
    p50 = {at: value / _MILLISECONDS for _, at, value in _points(replies.get(P50)) if start < at <= end}
    p99 = [value for _, at, value in _points(replies.get(P99)) if start < at <= end]
    return Health(
        since=since,
        as_of=max(since, end),
        requests=round(sum(requests.values())),
        errors=round(by_class["5"]),
        rejected=round(by_class["4"]),
        p50=middle(p50, requests),
        p99=max(p99) / _MILLISECONDS if p99 else None,
    )


def _points(reply: Document | None) -> Iterator[tuple[str, datetime, float]]:
    """The response code of its series, the end of its minute, and the value of every point."""
    for series in (reply or {}).get("timeSeries") or ():
        code = str(((series.get("metric") or {}).get("labels") or {}).get("response_code", ""))
        for point in series.get("points") or ():
            at = time_of((point.get("interval") or {}).get("endTime"))
            value = _value(point.get("value") or {})
            if at is not None and value is not None:
                yield code, at, value


def _value(typed: Mapping[str, Any]) -> float | None:
    return next((float(typed[name]) for name in _VALUES if name in typed), None)


def _complete_until(replies: Mapping[str, Document | None], since: datetime) -> datetime:
    """The end of the newest complete minute by the service's own clock; without it, of the newest before the last."""
    date = (replies.get(RESPONSES) or {}).get("Date")
    if date:
        seen = parsedate_to_datetime(date) - timedelta(seconds=METRIC_DELAY)
        return seen.replace(second=0, microsecond=0)
    ends = sorted({at for _, at, _ in _points(replies.get(RESPONSES))})
    return ends[-2] if len(ends) > 1 else since
