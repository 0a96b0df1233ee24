"""What an endpoint's requests leave in Azure Monitor: counts and latencies of each minute that has ended.

Every value is that of one minute: the requests of one deployment with one status, the latencies of one deployment.
"""

from __future__ import annotations

from math import floor, inf
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from mlinfra.emulator.azure.monitoring import descriptors
from mlinfra.emulator.metrics import Bucket

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping
    from datetime import datetime

    Put = Callable[[str, str, Mapping[str, str], float, datetime], None]

T = TypeVar("T")

_MILLI = 1e3
_NONE = "0"  # a model's status where the request did not reach it


class Noted(NamedTuple):
    """One request: when it was answered, which deployment it went to (a name and an id), how, in how many seconds.

    `model_status` is None where it did not reach the model.
    """

    at: datetime
    deployment: str
    deployment_id: str
    status: int
    model_status: int | None
    seconds: float


class Event(NamedTuple):
    """Something that the data collector took, or dropped for a reason. `kind` is the collection's."""

    at: datetime
    deployment: str
    deployment_id: str
    kind: str
    problem: str = ""


class Meter:
    """One endpoint's requests until they are published. Thread-safe."""

    def __init__(self, endpoint: str, put: Put) -> None:
        """`endpoint` is its id; `put` takes a resource's id, the metric, dimensions, the value and its moment."""
        self._endpoint = endpoint
        self._put = put
        self._lock = Lock()
        self._noted: list[Noted] = []
        self._events: list[Event] = []

    def note(self, noted: Noted) -> None:
        """Keep what a request was like."""
        with self._lock:
            self._noted.append(noted)

    def collected(self, event: Event) -> None:
        """Keep what the data collector did."""
        with self._lock:
            self._events.append(event)

    def publish(self, now: datetime, *, everything: bool = False) -> None:
        """Publish the minutes that have ended by now, or everything."""
        open_since = inf if everything else floor(now.timestamp() / descriptors.SAMPLED) * descriptors.SAMPLED
        with self._lock:
            noted = [each for each in self._noted if each.at.timestamp() < open_since]
            events = [each for each in self._events if each.at.timestamp() < open_since]
            self._noted = [each for each in self._noted if each.at.timestamp() >= open_since]
            self._events = [each for each in self._events if each.at.timestamp() >= open_since]
        for group in _groups(noted, lambda each: (_minute(each.at), each.deployment)):
            self._requests(group)
        for happened in _groups(events, lambda each: (_minute(each.at), *each[1:])):
            self._collection(happened)

    def _requests(self, noted: list[Noted]) -> None:
        """One minute's requests of one deployment."""
        first = noted[0]
        for alike in _groups(noted, lambda each: (each.status, each.model_status)):
            status, model = alike[0].status, alike[0].model_status
            dimensions = {
                "deployment": first.deployment,
                "statusCode": str(status),
                "statusCodeClass": f"{status // 100}xx",
                "modelStatusCode": _NONE if model is None else str(model),
            }
            self._put(self._endpoint, descriptors.REQUESTS, dimensions, float(len(alike)), first.at)
            own = {"envoy_response_code": str(status)}
            self._put(first.deployment_id, descriptors.REQUESTS, own, float(len(alike)), first.at)
        times = Bucket(first.at, tuple(sorted(each.seconds * _MILLI for each in noted)))
        whose = {"deployment": first.deployment}
        self._put(self._endpoint, descriptors.LATENCY, whose, times.average, first.at)
        for metric, rank in descriptors.PERCENTILES.items():
            self._put(self._endpoint, metric, whose, times.percentile(rank), first.at)
            self._put(first.deployment_id, metric, {}, times.percentile(rank), first.at)

    def _collection(self, events: list[Event]) -> None:
        """One minute's events of one kind and deployment."""
        first, count = events[0], float(len(events))
        metric = descriptors.NOT_COLLECTED if first.problem else descriptors.COLLECTED
        more = {"type": first.kind, **({"reason": first.problem} if first.problem else {})}
        self._put(self._endpoint, metric, {"deployment": first.deployment, **more}, count, first.at)
        self._put(first.deployment_id, metric, {"instanceId": "collector", **more}, count, first.at)


def _minute(at: datetime) -> int:
    return floor(at.timestamp() / descriptors.SAMPLED)


def _groups(items: Iterable[T], key: Callable[[T], Hashable]) -> list[list[T]]:
    """What has the same key together, in the order in which the keys came."""
    found: dict[Hashable, list[T]] = {}
    for each in items:
        found.setdefault(key(each), []).append(each)
    return list(found.values())
