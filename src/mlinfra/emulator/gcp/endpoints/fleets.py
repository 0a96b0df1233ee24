"""Servers of deployed models: brought up, counted, resized, drained and ended."""

from __future__ import annotations

import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from mlinfra.emulator.gcp.wire import refusals
from mlinfra.emulator.hosting.waiting import Deadline, Stopped, Waiting
from mlinfra.errors import MlinfraError, NotFound

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from threading import Event

    from mlinfra.emulator.calls import Refusal
    from mlinfra.emulator.clock import Clock
    from mlinfra.emulator.gcp.endpoints.records import Deployment, Endpoint

_LOGS = (
    "Model server logs can be found at https://console.cloud.google.com/logs/viewer?project={project}&resource="
    "aiplatform.googleapis.com%2FEndpoint%2Fendpoint_id%2F{endpoint}."
)
_NEVER_READY = (
    "Model server never became ready. Please validate that your model file or container configuration are valid. "
    f"{_LOGS}"
)
_EXITED = f"Model server exited unexpectedly. {_LOGS}"
_DRAINED = 90.0  # real s that requests under way get to end; the longest that is usual takes 60
_ENDED = 40.0  # real s for processes to end
_READY, _LATE, _FAILED = "ready", "late", "failed"


class Fleets:
    """The servers of every endpoint."""

    def __init__(self, folder: Path, clock: Clock, stop: Event, project: str) -> None:
        self.before_end: Callable[[Endpoint], None] = _nothing  # the host forgets what ended servers wrote
        self._folder = folder
        self._waiting = Waiting(clock, stop)
        self._clock = clock
        self._project = project

    def start(self, endpoint: Endpoint, deployment: Deployment, replicas: int) -> None:
        """Have servers started.

        Raises:
            Refusal: what runs in the image is not at hand.
        """
        endpoint.hosting.open()
        deployment.launches += 1
        fleet = f"m{deployment.id}-{deployment.launches}"
        try:
            endpoint.hosting.start(fleet, deployment.container.server, replicas)
        except MlinfraError as exc:
            raise refusals.not_emulated(f"The container of DeployedModel {deployment.id} ({exc})") from exc
        deployment.fleet = fleet

    def ready(self, endpoint: Endpoint, deployment: Deployment, required: int, check: Callable[[], None]) -> None:
        """Wait until so many replicas are available. `check` is asked again and again, and may raise.

        Raises:
            Refusal: FAILED_PRECONDITION, they do not become ready in time.
            Stopped: the emulator stops.
        """
        deadline = Deadline(self._clock, deployment.container.timeout)

        def answer() -> str | None:
            check()
            if self.look(endpoint, deployment):
                return _FAILED
            return _READY if deployment.available >= required else None

        found = self._waiting.until(answer, deadline, _LATE)
        if found != _READY:
            raise self._unready(endpoint, _NEVER_READY if found == _LATE else _EXITED)

    def scale(self, endpoint: Endpoint, deployment: Deployment, replicas: int) -> None:
        """Have another number of servers, without waiting for them."""
        with deployment.lock:
            deployment.wanted = replicas
            if deployment.fleet:
                endpoint.hosting.scale(deployment.fleet, replicas)

    def look(self, endpoint: Endpoint, deployment: Deployment) -> bool:
        """Count the replicas that are available. Tells whether its servers have failed for good."""
        with suppress(NotFound):
            seen = endpoint.hosting.look().get(deployment.fleet)
            if seen:
                available = min(seen.ready, deployment.wanted)
                if available != deployment.available or deployment.looked is None:
                    deployment.available, deployment.looked = available, self._clock.now()
                return seen.failed
        return False

    def end(self, endpoint: Endpoint, deployment: Deployment) -> None:
        """End the servers of a deployment to which no route leads any more, once its requests are answered."""
        quiet = Deadline(self._clock, 0.0, least=_DRAINED)
        self._waiting.until(lambda: None if endpoint.routes.under_way(deployment) else _READY, quiet, _LATE)
        with deployment.lock:
            fleet, deployment.fleet = deployment.fleet, ""
            deployment.available = 0
        if fleet:
            self.before_end(endpoint)
            endpoint.hosting.end(fleet)
            deadline = Deadline(self._clock, 0.0, least=_ENDED)
            with suppress(MlinfraError):
                self._waiting.until(lambda: None if fleet in endpoint.hosting.look() else _READY, deadline, _LATE)
        shutil.rmtree(self.folder(endpoint, deployment.id), ignore_errors=True)

    def folder(self, endpoint: Endpoint, deployed: str) -> Path:
        """Where a deployment's servers put what they need for a while."""
        return self._folder / endpoint.hosting.name / deployed

    def close(self, endpoint: Endpoint) -> None:
        """End everything of an endpoint without deployments, and remove its files."""
        endpoint.close()
        if endpoint.hosting.opened:
            with suppress(Stopped):  # all servers end with the emulator
                deadline = Deadline(self._clock, 0.0)
                self._waiting.until(lambda: _READY if endpoint.hosting.is_gone else None, deadline, _LATE)
        shutil.rmtree(self._folder / endpoint.hosting.name, ignore_errors=True)

    def _unready(self, endpoint: Endpoint, words: str) -> Refusal:
        return refusals.failed_precondition(words.format(project=self._project, endpoint=endpoint.id))


def _nothing(_endpoint: Endpoint) -> None:
    """Nothing is to be done first."""
