"""What goes on beside the calls: logs kept, captures written, metrics published, instances counted and scaled."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from mlinfra.emulator.azure.endpoints.metrics import Event
from mlinfra.emulator.azure.endpoints.usage import Usage
from mlinfra.emulator.azure.names import own
from mlinfra.errors import MlinfraError, NotFound

if TYPE_CHECKING:
    from mlinfra.emulator.azure.emulator import AzureEmulator
    from mlinfra.emulator.azure.endpoints.endpoints import Endpoints
    from mlinfra.emulator.azure.endpoints.records import Deployment, Endpoint, Fleet

_log = logging.getLogger(__name__)

_PAUSE = 0.5  # real s between two rounds
_RENEWAL = 120.0  # real s between two renewals of a lease
_MINUTE = 60.0  # virtual s between two looks at what servers use and settings want
_PAGE = 1000
_STOPPING = 4.0  # real s in which servers end when the emulator stops; then they are killed


class Attendant:
    """One thread for all endpoints, from the first one on."""

    def __init__(self, emulator: AzureEmulator, endpoints: Endpoints, stop: threading.Event) -> None:
        self._emulator = emulator
        self._endpoints = endpoints
        self._stop = stop
        self._carrying = threading.Lock()
        self._flushing = threading.Lock()
        self._tokens: WeakKeyDictionary[Endpoint, str] = WeakKeyDictionary()
        self._renewed: WeakKeyDictionary[Endpoint, float] = WeakKeyDictionary()
        self._minute = 0.0
        self._collected = 0.0
        self._usage = Usage(emulator.monitoring.put)
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

    def settle(self, endpoint: Endpoint, fleet: Fleet) -> None:
        """Keep and write what would be lost with servers that are about to end."""
        self.carry_logs(endpoint)
        with self._flushing:
            self._collect(endpoint, fleet)

    def carry_logs(self, endpoint: Endpoint) -> None:
        """Keep the servers' lines."""
        with self._carrying, suppress(NotFound):  # it is gone meanwhile
            while endpoint.opened and self._carry(endpoint) == _PAGE:
                pass

    def flush(self) -> None:
        """Write what the data collectors have taken."""
        with self._flushing:
            for endpoint in self._endpoints.items():
                for deployment in list(endpoint.deployments.values()):
                    if deployment.fleet:
                        self._collect(endpoint, deployment.fleet)

    def _run(self) -> None:
        while not self._stop.wait(_PAUSE):
            try:
                self._round()
            except Exception:  # noqa: BLE001  one bad round must not end all others
                _log.exception("a round of the endpoints' attendant failed")

    def _round(self) -> None:
        self._endpoints.publish()
        if self._emulator.clock.monotonic() - self._collected >= self._emulator.delays.seconds("endpoints.Collecting"):
            self._collected = self._emulator.clock.monotonic()
            self.flush()
        opened = [endpoint for endpoint in self._endpoints.items() if endpoint.opened]
        for endpoint in opened:
            self.carry_logs(endpoint)
            self._renew(endpoint)
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

    def _renew(self, endpoint: Endpoint) -> None:
        now = time.monotonic()
        if now - self._renewed.setdefault(endpoint, now) > _RENEWAL:
            self._renewed[endpoint] = now
            endpoint.hosting.attend()

    def _carry(self, endpoint: Endpoint) -> int:
        """Keep a page of lines; how many it had."""
        page = endpoint.hosting.lines(self._tokens.get(endpoint))
        self._tokens[endpoint] = page["token"]
        for line in page["lines"]:
            deployment = _deployment(endpoint, line["source"])
            if deployment:
                deployment.log.append(line["text"])
        return len(page["lines"])


def _deployment(endpoint: Endpoint, source: str) -> Deployment | None:
    """Whose line the host tells, by its source `<name>-<launch>.replica-<n>`; None for the gateway's own words."""
    fleet, _, replica = source.rpartition(".")
    if not replica.startswith("replica-"):
        return None
    return endpoint.deployments.get(fleet.rpartition("-")[0])
