"""What an endpoint's requests leave in Cloud Monitoring.

After the list of Google Cloud metrics, `aiplatform`, prediction/online/…: an instance is a prediction; errors are
requests that were not answered well, whosever fault it is; latencies are in milliseconds, in total and, where a model
server was reached, of the model and of all else. They are sampled once a minute.
"""

from __future__ import annotations

from math import floor
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from mlinfra.emulator.gcp.monitoring import descriptors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from mlinfra.emulator.gcp.endpoints.records import Deployment, Endpoint

_MILLI = 1e3
_GOOD = 400  # the first status that is an error's


class Noted(NamedTuple):
    """One request: when it was answered, by which deployment, how, and how many seconds it took.

    `model_seconds` is None where it never reached the model.
    """

    at: datetime
    labels: Mapping[str, str]
    status: int
    seconds: float
    model_seconds: float | None
    instances: int


class Meter:
    """One endpoint's requests until they are published. Thread-safe."""

    def __init__(self, endpoint: str, put: Callable[[str, str, Mapping[str, str], float, datetime], None]) -> None:
        """`endpoint` is its id; `put` takes metric type, endpoint, labels, value and moment."""
        self._endpoint = endpoint
        self._put = put
        self._lock = Lock()
        self._noted: list[Noted] = []

    def note(self, noted: Noted) -> None:
        """Keep what a request was like."""
        with self._lock:
            self._noted.append(noted)

    def publish(self, now: datetime, *, everything: bool = False) -> None:
        """Publish the minutes that have ended by now, or everything."""
        open_since = floor(now.timestamp() / descriptors.SAMPLED) * descriptors.SAMPLED
        with self._lock:
            ended = [each for each in self._noted if everything or each.at.timestamp() < open_since]
            self._noted = [each for each in self._noted if not everything and each.at.timestamp() >= open_since]
        for each in ended:
            for metric, more, value in _values(each):
                self._put(metric, self._endpoint, {**each.labels, **more}, value, each.at)

    def sample(self, deployment: Deployment, labels: Mapping[str, str], now: datetime) -> None:
        """Publish how many replicas there are, and how many there should be."""
        self._put(descriptors.REPLICAS, self._endpoint, labels, float(deployment.available), now)
        self._put(descriptors.TARGET_REPLICAS, self._endpoint, labels, float(deployment.wanted), now)


def labels_of(endpoint: Endpoint, deployment: Deployment) -> dict[str, str]:
    """The labels of every metric of a deployed model."""
    return {
        "deployed_model_id": deployment.id,
        "spot": str(bool(deployment.message.dedicated_resources.spot)),
        "model_display_name": deployment.model_display_name,
        "endpoint_display_name": str(endpoint.message.display_name),
    }


def _values(noted: Noted) -> Iterator[tuple[str, Mapping[str, str], float]]:
    yield descriptors.RESPONSES, {"response_code": f"{noted.status // 100}xx"}, 1.0
    if noted.status >= _GOOD:
        yield descriptors.ERRORS, {}, 1.0
    else:
        yield descriptors.PREDICTIONS, {}, float(noted.instances)
    yield descriptors.LATENCIES, {"latency_type": "total"}, noted.seconds * _MILLI
    if noted.model_seconds is not None:
        overhead = max(0.0, noted.seconds - noted.model_seconds)
        yield descriptors.LATENCIES, {"latency_type": "model"}, noted.model_seconds * _MILLI
        yield descriptors.LATENCIES, {"latency_type": "overhead"}, overhead * _MILLI
