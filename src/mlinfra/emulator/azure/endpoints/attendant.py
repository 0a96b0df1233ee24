"""What goes on beside the calls: logs kept, captures written, metrics published, instances counted and scaled."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.azure.endpoints.metrics import Event
from mlinfra.emulator.azure.endpoints.records import Endpoint
from mlinfra.emulator.azure.endpoints.usage import InstanceUsage
from mlinfra.emulator.azure.names import own
from mlinfra.emulator.hosting.attendant import Attendant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlinfra.emulator.azure.emulator import AzureEmulator
    from mlinfra.emulator.azure.endpoints.endpoints import Endpoints
    from mlinfra.emulator.azure.endpoints.records import Deployment, Fleet

_MINUTE = 60.0  # virtual s between two looks at what servers use and settings want


class EndpointAttendant(Attendant[Endpoint]):
    """One thread for all endpoints. Its own part are data collectors, instances and scaling, and the kept logs."""

    def __init__(self, emulator: AzureEmulator, endpoints: Endpoints, stop: threading.Event) -> None:
        super().__init__(endpoints.items, stop)
        self._emulator = emulator
        self._endpoints = endpoints
        self._flushing = threading.Lock()
        self._minute = 0.0
        self._collected = 0.0
        self._usage = InstanceUsage(emulator.monitoring.put)

    def settle(self, endpoint: Endpoint, fleet: Fleet) -> None:
        """Keep and write what would be lost with servers that are about to end."""
        self.carry_logs(endpoint)
        with self._flushing:
            self._collect(endpoint, fleet)

    def keep(self, endpoint: Endpoint, lines: Sequence[dict[str, Any]]) -> None:
        """Keep them with their deployments."""
        for line in lines:
            deployment = _deployment(endpoint, line["source"])
            if deployment:
                deployment.log.append(line["text"])

    def flush(self) -> None:
        """Write what the data collectors have taken."""
        with self._flushing:
            for endpoint in self._endpoints.items():
                for deployment in list(endpoint.deployments.values()):
                    if deployment.fleet:
                        self._collect(endpoint, deployment.fleet)

    def round(self) -> None:
        """Publish, carry, count instances; write captures, measure and scale when it is time."""
        self._endpoints.publish()
        if self._emulator.clock.monotonic() - self._collected >= self._emulator.delays.seconds("endpoints.Collecting"):
            self._collected = self._emulator.clock.monotonic()
            self.flush()
        opened = self.opened()
        for endpoint in opened:
            self.attend(endpoint)
            for deployment in list(endpoint.deployments.values()):
                self._endpoints.fleets.look(endpoint, deployment)
        if self._emulator.clock.monotonic() - self._minute >= _MINUTE:
            self._minute = self._emulator.clock.monotonic()
            now = self._emulator.clock.now()
            for endpoint in opened:
                for deployment in list(endpoint.deployments.values()):
                    self._usage.measure(endpoint, deployment, now)
            self._emulator.monitoring.look()

    def _collect(self, endpoint: Endpoint, fleet: Fleet) -> None:
        for kind, problem in fleet.collector.flush() if fleet.collector else ():
            now = self._emulator.clock.now()
            endpoint.meter.collected(Event(now, own(fleet.deployment), fleet.deployment, kind, problem))


def _deployment(endpoint: Endpoint, source: str) -> Deployment | None:
    """Whose line the host tells, by its source `<name>-<launch>.replica-<n>`; None for the gateway's own words."""
    fleet, _, replica = source.rpartition(".")
    if not replica.startswith("replica-"):
        return None
    return endpoint.deployments.get(fleet.rpartition("-")[0])
