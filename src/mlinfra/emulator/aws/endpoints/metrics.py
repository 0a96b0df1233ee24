"""What an endpoint's requests leave in CloudWatch, in the namespace AWS/SageMaker.

Names, units and statistics are those of SageMaker's guide, "SageMaker endpoint invocation metrics": a request is 1 in
Invocations; each error metric holds a 1 for a request that failed so and a 0 for every other, so its average is a
rate; latencies are in microseconds. The service publishes once a minute, or as often as MetricsConfig says, each value
twice: under the endpoint and the variant, and under these and the configuration that the server was started for, by
which the guide's page "Auto-rollback configuration and monitoring" tells an update's new fleet from the old one.
"""

from __future__ import annotations

from math import floor
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

NAMESPACE = "AWS/SageMaker"
PERIOD = 60  # s
_MICRO = 1e6
_CLIENT, _SERVER = 4, 5  # a status' first digit


class Noted(NamedTuple):
    """One request: when it was answered, by whose servers, how, and how many seconds the model took and all else.

    `model_seconds` is None where it never reached the model.
    """

    at: datetime
    variant: str
    config: str
    status: int
    model_seconds: float | None
    overhead_seconds: float
    instances: int


class Meter:
    """One endpoint's requests until they are published. Thread-safe."""

    def __init__(self, endpoint: str, put: Callable[..., None]) -> None:
        """`put` takes namespace, name, dimensions, value, and by name unit and at."""
        self.period = PERIOD
        self._endpoint = endpoint
        self._put = put
        self._lock = Lock()
        self._noted: list[Noted] = []

    def configure(self, metrics: Mapping[str, Any] | None) -> None:
        """Publish as often as a MetricsConfig says."""
        enhanced = bool(metrics and metrics.get("EnableEnhancedMetrics"))
        self.period = (metrics or {}).get("MetricPublishFrequencyInSeconds", PERIOD) if enhanced else PERIOD

    def note(self, noted: Noted) -> None:
        """Keep what a request was like."""
        with self._lock:
            self._noted.append(noted)

    def publish(self, now: datetime, *, everything: bool = False) -> None:
        """Publish the periods that have ended by now, or everything, each under the moment at which it began."""
        open_since = floor(now.timestamp() / self.period) * self.period
        with self._lock:
            ended = [each for each in self._noted if everything or each.at.timestamp() < open_since]
            if not ended:
                return
            self._noted = [] if everything else [each for each in self._noted if each.at.timestamp() >= open_since]
        for each in ended:
            self._publish(each)

    def _publish(self, noted: Noted) -> None:
        begin = floor(noted.at.timestamp() / self.period) * self.period
        at = noted.at.fromtimestamp(begin, noted.at.tzinfo)
        dimensions = {"EndpointName": self._endpoint, "VariantName": noted.variant}
        fleet = {**dimensions, "EndpointConfigName": noted.config}
        for name, value, unit in _values(noted):
            for has in (dimensions, fleet):
                self._put(NAMESPACE, name, has, value, unit=unit, at=at)


def _values(noted: Noted) -> list[tuple[str, float, str]]:
    kind = noted.status // 100
    values = [
        ("Invocations", 1.0, "None"),
        ("InvocationsPerInstance", 1.0 / max(noted.instances, 1), "None"),
        ("Invocation4XXErrors", float(kind == _CLIENT), "None"),
        ("Invocation5XXErrors", float(kind == _SERVER), "None"),
        ("InvocationModelErrors", float(kind in {_CLIENT, _SERVER}), "None"),
        ("OverheadLatency", noted.overhead_seconds * _MICRO, "Microseconds"),
    ]
    if noted.model_seconds is not None:
        values.append(("ModelLatency", noted.model_seconds * _MICRO, "Microseconds"))
    return values
