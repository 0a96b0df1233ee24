"""Azure Monitor's figures of one deployment as the portable ones."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from mlinfra.contract.health import Health, middle
from mlinfra_azure.observe.answers import MODEL_ERROR, TOO_SLOW, own_status
from mlinfra_azure.render.endpoint_calls import COUNTS, LATENCIES, P50, P99, REQUESTS
from mlinfra_azure.render.endpoints import METRIC_DELAY
from mlinfra_azure.times import time_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from mlinfra.contract.requests import Document
    from mlinfra.environment import Environment

_MINUTE = timedelta(minutes=1)
_MILLISECONDS = 1_000
_REFUSED, _FAILED = 400, 500


def health(
    replies: Mapping[str, Document | None],
    since: datetime,
    environment: Environment,  # noqa: ARG001  the contract's signature
) -> Health:
    """Two answers of metrics. Counts whole minutes, from that of `since` to the newest complete one.

    An answer's status is the model server's own. 5xx are errors, and so is what was not answered in time (408). A
    latency over several minutes is the worst minute's for p99, and the middle one's, by requests, for p50.
    """
    counts = replies.get(COUNTS)
    if counts is None:
        return Health(since=since, as_of=since, requests=0, errors=0)
    start, end = since.replace(second=0, microsecond=0), _complete_until(counts, since)
    errors = rejected = 0.0
    requests: dict[datetime, float] = defaultdict(float)
    for dimensions, at, value in _points(counts, REQUESTS):
        if start <= at < end:
            requests[at] += value
            errors += value * _is_error(dimensions)
            rejected += value * _is_refusal(dimensions)
    latencies = replies.get(LATENCIES)
    p50 = {at: value / _MILLISECONDS for _, at, value in _points(latencies, P50) if start <= at < end}
    p99 = [value for _, at, value in _points(latencies, P99) if start <= at < end]
    return Health(
        since=since,
        as_of=max(since, end),
        requests=round(sum(requests.values())),
        errors=round(errors),
        rejected=round(rejected),
        p50=middle(p50, requests),
        p99=max(p99) / _MILLISECONDS if p99 else None,
    )


def _is_error(dimensions: Mapping[str, str]) -> bool:
    status = _status(dimensions)
    return status >= _FAILED or status in {MODEL_ERROR, TOO_SLOW}


def _is_refusal(dimensions: Mapping[str, str]) -> bool:
    return _REFUSED <= _status(dimensions) < _FAILED and not _is_error(dimensions)


def _status(dimensions: Mapping[str, str]) -> int:
    told = dimensions.get("statuscode", "")
    return own_status(int(told), dimensions.get("modelstatuscode", "")) if told.isdigit() else 0


def _points(reply: Document | None, metric: str) -> Iterator[tuple[dict[str, str], datetime, float]]:
    """The dimensions of its series (names in lower case), the start of its minute, and the value of every point."""
    for told in (reply or {}).get("value") or ():
        if told["name"]["value"] != metric:
            continue
        for series in told.get("timeseries") or ():
            dimensions = {
                each["name"]["value"].lower(): str(each["value"]) for each in series.get("metadatavalues") or ()
            }
            for point in series.get("data") or ():
                at = time_of(point.get("timeStamp"))
                if at is not None and point.get("average") is not None:
                    yield dimensions, at, float(point["average"])


def _complete_until(counts: Document, since: datetime) -> datetime:
    """The end of the newest complete minute by the service's own clock; without it, of the newest before the last."""
    date = counts.get("Date")
    if date:
        seen = parsedate_to_datetime(date) - timedelta(seconds=METRIC_DELAY)
        return seen.replace(second=0, microsecond=0)
    starts = sorted({at for _, at, _ in _points(counts, REQUESTS)})
    return starts[-2] + _MINUTE if len(starts) > 1 else since
