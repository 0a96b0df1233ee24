"""What goes on beside the calls: logs and metrics published, replicas counted and scaled, leases renewed."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from mlinfra.emulator.gcp.endpoints.autoscaling import Autoscaling
from mlinfra.emulator.gcp.endpoints.metrics import labels_of
from mlinfra.emulator.gcp.endpoints.usage import Usage
from mlinfra.emulator.gcp.monitoring.descriptors import DESCRIPTORS, RESOURCE
from mlinfra.errors import MlinfraError, NotFound

if TYPE_CHECKING:
    from mlinfra.emulator.gcp.emulator import GcpEmulator
    from mlinfra.emulator.gcp.endpoints.endpoints import Endpoints
    from mlinfra.emulator.gcp.endpoints.metrics import Noted
    from mlinfra.emulator.gcp.endpoints.records import Deployment, Endpoint

_log = logging.getLogger(__name__)

CONTAINER_LOG = "aiplatform.googleapis.com/prediction_container"
ACCESS_LOG = "aiplatform.googleapis.com/prediction_access"
_ACCESS_ENTRY = "type.googleapis.com/google.cloud.aiplatform.logging.OnlinePredictionLogEntry"
_PAUSE = 0.5  # real s between two rounds
_RENEWAL = 120.0  # real s between two renewals of a lease
_MINUTE = 60.0  # virtual s between two looks at what servers use and traffic wants
_PAGE = 1000
_STOPPING = 4.0  # real s in which servers end when the emulator stops; then they are killed


class Attendant:
    """One thread for all endpoints, from the first one on."""

    def __init__(self, emulator: GcpEmulator, endpoints: Endpoints, stop: threading.Event) -> None:
        self._emulator = emulator
        self._endpoints = endpoints
        self._stop = stop
        self._carrying = threading.Lock()
        self._tokens: WeakKeyDictionary[Endpoint, str] = WeakKeyDictionary()
        self._renewed: WeakKeyDictionary[Endpoint, float] = WeakKeyDictionary()
        self._minute = 0.0
        self._usage = Usage(emulator.monitoring.put)
        self._autoscaling = Autoscaling(endpoints.fleets, self._recent)
        self._thread = threading.Thread(target=self._run, name="endpoints", daemon=True)

    def start(self) -> None:
        """Begin, unless it has. Safe to repeat."""
        with self._carrying:
            if not self._thread.is_alive() and not self._stop.is_set():
                self._thread.start()

    def stop(self) -> None:
        """End the thread, whose stop event is set. Blocks until it has."""
        if self._thread.is_alive():
            self._thread.join()

    def wait_until_gone(self) -> None:
        """Wait until nothing of any endpoint is left on the host; what is left after a few seconds is killed."""
        end = time.monotonic() + _STOPPING
        for endpoint in self._endpoints.items():
            if not endpoint.opened:
                continue
            with suppress(MlinfraError):
                while not endpoint.hosting.is_gone and time.monotonic() < end:
                    time.sleep(_PAUSE / 5)
            endpoint.hosting.kill()

    def carry_logs(self, endpoint: Endpoint) -> None:
        """Carry the servers' lines to Cloud Logging."""
        with self._carrying, suppress(NotFound):  # it is gone meanwhile
            while endpoint.opened and self._carry(endpoint) == _PAGE:
                pass

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

    def _run(self) -> None:
        while not self._stop.wait(_PAUSE):
            try:
                self._round()
            except Exception:  # noqa: BLE001  one bad round must not end all others
                _log.exception("a round of the endpoints' attendant failed")

    def _round(self) -> None:
        self._endpoints.publish()
        opened = [endpoint for endpoint in self._endpoints.items() if endpoint.opened]
        for endpoint in opened:
            self.carry_logs(endpoint)
            self._renew(endpoint)
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

    def _renew(self, endpoint: Endpoint) -> None:
        now = time.monotonic()
        if now - self._renewed.setdefault(endpoint, now) > _RENEWAL:
            self._renewed[endpoint] = now
            endpoint.hosting.attend()

    def _carry(self, endpoint: Endpoint) -> int:
        """Carry a page of lines; how many it had."""
        page = endpoint.hosting.lines(self._tokens.get(endpoint))
        self._tokens[endpoint] = page["token"]
        by_deployment: dict[Deployment, list[dict[str, Any]]] = {}
        ahead = self._emulator.clock.ahead()
        for line in page["lines"]:
            deployment = _deployment(endpoint, line["source"])
            if deployment and not deployment.message.disable_container_logging:
                at = datetime.fromisoformat(line["time"]).astimezone(UTC) + ahead
                replica = line["source"].rpartition(".")[2]
                entry = {"timestamp": at, "textPayload": line["text"], "labels": {"replica_id": replica}}
                by_deployment.setdefault(deployment, []).append(entry)
        for deployment, entries in by_deployment.items():
            self._write(CONTAINER_LOG, endpoint, deployment, entries)
        return len(page["lines"])

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
