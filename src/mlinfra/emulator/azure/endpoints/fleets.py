"""Servers of deployments: brought up, counted, resized, drained and ended."""

from __future__ import annotations

import http.client
import shutil
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING

from mlinfra.emulator.azure.wire import refusals
from mlinfra.emulator.hosting.gateway import NotReached, TimedOut
from mlinfra.emulator.hosting.waiting import Deadline, Stopped, Waiting
from mlinfra.errors import MlinfraError, NotFound

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from threading import Event

    from mlinfra.emulator.azure.endpoints.records import Deployment, Endpoint, Fleet
    from mlinfra.emulator.calls import Refusal
    from mlinfra.emulator.clock import Clock

_GUIDE = "Please see troubleshooting guide, available here: https://aka.ms/oe-tsg#error-resourcenotready"
_CRASHED = f"User container has crashed or terminated. {_GUIDE}"
_UNREADY = f"User container did not pass its readiness probe: {{reason}} {_GUIDE}"
_DEAD = f"User container did not pass its liveness probe: GET {{route}} was not answered with 200. {_GUIDE}"
_DRAINED = 200.0  # real s that requests under way get to end; the longest that one may take is 180
_ENDED = 40.0  # real s for processes to end
_READY, _LATE, _FAILED = "ready", "late", "failed"


class Fleets:
    """The servers of every endpoint."""

    def __init__(self, folder: Path, clock: Clock, stop: Event) -> None:
        self.before_end: Callable[[Endpoint, Fleet], None] = _nothing  # the host forgets what ended servers wrote
        self._folder = folder
        self._waiting = Waiting(clock, stop)
        self._clock = clock

    def folder(self, endpoint: Endpoint, fleet: str) -> Path:
        """Where a fleet's model lies, and where its servers put what they need for a while."""
        return self._folder / endpoint.hosting.name / fleet

    def start(self, endpoint: Endpoint, fleet: Fleet, instances: int) -> None:
        """Have servers started.

        Raises:
            Refusal: what runs in the image is not at hand.
        """
        endpoint.hosting.open()
        try:
            endpoint.hosting.start(fleet.name, fleet.container.server, instances)
        except MlinfraError as exc:
            raise refusals.not_emulated(f"The container of {fleet.container.image} ({exc})") from exc

    def ready(self, endpoint: Endpoint, fleet: Fleet, instances: int, check: Callable[[], None]) -> None:
        """Wait until so many instances have passed their probes. `check` is asked again and again, and may raise.

        Raises:
            Refusal: ResourceNotReady, they do not pass in the time that the probes give them, or have ended.
            Stopped: the emulator stops.
        """
        reason = [""]

        def answer() -> str | None:
            check()
            seen = endpoint.hosting.look().get(fleet.name)
            if seen is None or seen.failed:
                return _FAILED
            reason[0] = seen.reason
            return _READY if seen.ready >= instances else None

        found = self._waiting.until(answer, Deadline(self._clock, fleet.container.patience), _LATE)
        if found == _FAILED:
            raise _not_ready(_CRASHED)
        if found == _LATE:
            reason[0] = reason[0] or f"GET {fleet.container.routes.readiness} was not answered with 200."
            raise _not_ready(_UNREADY.format(reason=reason[0]))
        self._alive(endpoint, fleet, check)

    def scale(self, endpoint: Endpoint, deployment: Deployment, instances: int) -> None:
        """Have another number of servers, without waiting for them."""
        with deployment.lock:
            deployment.wanted = instances
            if deployment.fleet:
                endpoint.hosting.scale(deployment.fleet.name, instances)

    def look(self, endpoint: Endpoint, deployment: Deployment) -> None:
        """Count the instances that are available."""
        fleet = deployment.fleet
        if fleet is None:
            deployment.available = 0
            return
        with suppress(NotFound):
            seen = endpoint.hosting.look().get(fleet.name)
            deployment.available = min(seen.ready, deployment.wanted) if seen else 0

    def end(self, endpoint: Endpoint, fleet: Fleet) -> None:
        """End servers to which no route leads any more, once their requests are answered."""
        quiet = Deadline(self._clock, 0.0, least=_DRAINED)
        self._waiting.until(lambda: None if endpoint.routes.under_way(fleet) else _READY, quiet, _LATE)
        if endpoint.hosting.opened:
            self.before_end(endpoint, fleet)
            endpoint.hosting.end(fleet.name)
            deadline = Deadline(self._clock, 0.0, least=_ENDED)
            with suppress(MlinfraError):
                self._waiting.until(lambda: None if fleet.name in endpoint.hosting.look() else _READY, deadline, _LATE)
        shutil.rmtree(self.folder(endpoint, fleet.name), ignore_errors=True)

    def close(self, endpoint: Endpoint) -> None:
        """End everything of an endpoint, and remove its files."""
        endpoint.close()
        if endpoint.hosting.opened:
            with suppress(Stopped):  # all servers end with the emulator
                deadline = Deadline(self._clock, 0.0)
                self._waiting.until(lambda: _READY if endpoint.hosting.is_gone else None, deadline, _LATE)
        shutil.rmtree(self._folder / endpoint.hosting.name, ignore_errors=True)

    def _alive(self, endpoint: Endpoint, fleet: Fleet, check: Callable[[], None]) -> None:
        """Wait for the liveness probe's first success, where it asks another route than the readiness probe."""
        routes, probe = fleet.container.routes, fleet.container.liveness
        if routes.liveness == routes.readiness:
            return

        def answer() -> str | None:
            check()
            with suppress(TimedOut, NotReached, http.client.HTTPException):
                told = endpoint.gateway.ask(fleet.name, routes.liveness, b"", {}, probe.timeout, method="GET")
                return _READY if told.status == HTTPStatus.OK else None
            return None

        if self._waiting.until(answer, Deadline(self._clock, probe.patience), _LATE) != _READY:
            raise _not_ready(_DEAD.format(route=routes.liveness))


def _not_ready(message: str) -> Refusal:
    return refusals.refusal("ResourceNotReady", message)


def _nothing(_endpoint: Endpoint, _fleet: Fleet) -> None:
    """Nothing is to be done first."""
