"""What goes on beside the calls: logs and metrics published, replicas counted and scaled, leases renewed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.gcp.endpoints.autoscaling import Autoscaling
from mlinfra.emulator.gcp.endpoints.metrics import labels_of
from mlinfra.emulator.gcp.endpoints.records import Endpoint
from mlinfra.emulator.gcp.endpoints.usage import ReplicaUsage
from mlinfra.emulator.gcp.monitoring.descriptors import DESCRIPTORS, RESOURCE
from mlinfra.emulator.hosting.attendant import Attendant

if TYPE_CHECKING:
    from collections.abc import Sequence
    from threading import Event

    from mlinfra.emulator.gcp.emulator import GcpEmulator
    from mlinfra.emulator.gcp.endpoints.endpoints import Endpoints
    from mlinfra.emulator.gcp.endpoints.metrics import Noted
    from mlinfra.emulator.gcp.endpoints.records import Deployment

CONTAINER_LOG = "aiplatform.googleapis.com/prediction_container"
ACCESS_LOG = "aiplatform.googleapis.com/prediction_access"
_ACCESS_ENTRY = "type.googleapis.com/google.cloud.aiplatform.logging.OnlinePredictionLogEntry"
_MINUTE = 60.0  # virtual s between two looks at what servers use and traffic wants


class EndpointAttendant(Attendant[Endpoint]):
    """One thread for all endpoints. Its own part are replicas and their scaling, and Cloud Logging."""

    def __init__(self, emulator: GcpEmulator, endpoints: Endpoints, stop: Event) -> None:
        super().__init__(endpoints.items, stop)
        self._emulator = emulator
        self._endpoints = endpoints
        self._minute = 0.0
        self._usage = ReplicaUsage(emulator.monitoring.put)
        self._autoscaling = Autoscaling(endpoints.fleets, self._recent)

    def log_access(self, endpoint: Endpoint, deployment: Deployment, noted: Noted) -> None:
        """Write the access log's entry of a request; its members are those of OnlinePredictionLogEntry."""
        good = noted.status < HTTPStatus.BAD_REQUEST
        payload: dict[str, Any] = {
            "@type": _ACCESS_ENTRY,
            "endpoint": endpoint.name,
            "deployedModelId": deployment.id,
            "instanceCount": str(noted.instances),
            **({"predictionCount": str(noted.instances)} if good else {"error": {"code": noted.status}}),
        }
        self._write(ACCESS_LOG, endpoint, deployment, [{"timestamp": noted.at, "jsonPayload": payload}])

    def keep(self, endpoint: Endpoint, lines: Sequence[dict[str, Any]]) -> None:
        """Write them to Cloud Logging."""
        by_deployment: dict[Deployment, list[dict[str, Any]]] = {}
        ahead = self._emulator.clock.ahead()
        for line in lines:
            deployment = _deployment(endpoint, line["source"])
            if deployment and not deployment.message.disable_container_logging:
                at = datetime.fromisoformat(line["time"]).astimezone(UTC) + ahead
                replica = line["source"].rpartition(".")[2]
                entry = {"timestamp": at, "textPayload": line["text"], "labels": {"replica_id": replica}}
                by_deployment.setdefault(deployment, []).append(entry)
        for deployment, entries in by_deployment.items():
            self._write(CONTAINER_LOG, endpoint, deployment, entries)

    def round(self) -> None:
        """Publish, carry, count replicas; measure and scale when it is time."""
        self._endpoints.publish()
        opened = self.opened()
        for endpoint in opened:
            self.attend(endpoint)
            for deployment in list(endpoint.serving.values()):
                self._endpoints.fleets.look(endpoint, deployment)
        if self._emulator.clock.monotonic() - self._minute >= _MINUTE:
            self._minute = self._emulator.clock.monotonic()
            for endpoint in opened:
                self._sample(endpoint)
                self._autoscaling.look(endpoint)

    def _sample(self, endpoint: Endpoint) -> None:
        now = self._emulator.clock.now()
        for deployment in list(endpoint.serving.values()):
            self._usage.measure(endpoint, deployment, now)
            endpoint.meter.sample(deployment, labels_of(endpoint, deployment), now)

    def _recent(self, metric: str, endpoint: Endpoint, deployment: Deployment, back: timedelta) -> list[float]:
        """The values of a deployment's metric in the last whole minute, or since for what is sampled."""
        now = self._emulator.clock.now()
        until = now - timedelta(seconds=now.timestamp() % _MINUTE) if DESCRIPTORS[metric].kind == "DELTA" else now
        dimensions = {"metric.labels.deployed_model_id": deployment.id, "resource.labels.endpoint_id": endpoint.id}
        buckets = self._emulator.metrics.query(metric, dimensions, until - back, until, 1, exact=False)
        return [value for bucket in buckets for value in bucket.values]

    def _write(self, log: str, endpoint: Endpoint, deployment: Deployment, entries: list[dict[str, Any]]) -> None:
        place = self._emulator.place
        resource = {
            "type": RESOURCE,
            "labels": {"endpoint_id": endpoint.id, "location": place.region, "resource_container": place.number},
        }
        labels = {"deployed_model_id": deployment.id, "model_id": deployment.message.model.rpartition("/")[2]}
        self._emulator.logs.write(log, resource, labels, entries)


def _deployment(endpoint: Endpoint, source: str) -> Deployment | None:
    """Whose line the host tells, by its source `m<id>-<launch>.replica-<n>`; None for the gateway's own words."""
    fleet, _, replica = source.rpartition(".")
    if not replica.startswith("replica-"):
        return None
    return endpoint.deployments.get(fleet.rpartition("-")[0].removeprefix("m"))
