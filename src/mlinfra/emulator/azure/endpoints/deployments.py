"""What goes on after a call has been answered: a deployment created, updated, scaled, deleted.

Each is the work of a long-running operation. Traffic moves only through the routes, and servers end only when no route
leads to them and their last request is answered, so no change fails a request. A deployment that does not come up
stays, as the service's do, in the provisioning state Failed.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.azure.endpoints import records
from mlinfra.emulator.azure.endpoints.describe import deployment_document
from mlinfra.emulator.azure.wire import refusals
from mlinfra.emulator.azure.wire.longrunning import CANCELED
from mlinfra.emulator.calls import Call, Refusal
from mlinfra.emulator.hosting.waiting import Stopped
from mlinfra.emulator.progress import Cancelled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.emulator.azure.emulator import AzureEmulator
    from mlinfra.emulator.azure.endpoints.fleets import Fleets
    from mlinfra.emulator.azure.endpoints.launching import Launching
    from mlinfra.emulator.azure.endpoints.records import Deployment, Endpoint, Fleet
    from mlinfra.emulator.azure.operations import Reply
    from mlinfra.emulator.progress import Progress

PROVISIONING = "OnlineDeployments_CreateOrUpdate:Provisioning"  # as a fault's rule calls the launch of machines
_NO_MACHINES = {
    "capacity": ("OutOfCapacity", "The specified VM size failed to provision due to a lack of capacity in the region."),
    "canceled": (CANCELED, "The operation was canceled by another operation that has a higher priority."),
    "quota": ("OutOfQuota", "Not enough quota is available for the specified VM size."),
}
# Virtual seconds. The service takes minutes to bring machines up; the proportions are about its own.
DELAYS: Mapping[str, float] = {
    "endpoints.Creating": 2.0,
    "endpoints.Updating": 1.0,
    "endpoints.Deleting": 1.0,
    "endpoints.Collecting": 10.0,
    "endpoints.TrafficVisible": 0.5,
    "deploy.Provisioning": 4.0,
    "deploy.Finishing": 0.5,
    "deploy.Scaling": 1.0,
    "deploy.Deleting": 1.0,
}


class Deployments:
    """The works of the operations. Every method blocks until its end and returns the deployment's document."""

    def __init__(self, emulator: AzureEmulator, launching: Launching, fleets: Fleets) -> None:
        self._emulator = emulator
        self._launching = launching
        self._fleets = fleets

    def replace(
        self, endpoint: Endpoint, deployment: Deployment, document: dict[str, Any], instances: int, progress: Progress
    ) -> dict[str, Any]:
        """Bring up what a document asks for beside what serves; then let it serve, and end what did.

        Raises:
            Refusal: it does not come up; what served goes on serving.
            Cancelled: the operation was cancelled; as above.
        """
        fleet: Fleet | None = None
        try:
            progress.wait("deploy.Provisioning")
            self._check_machines(deployment)
            fleet = self._launching.fleet(endpoint, deployment, document)
            self._fleets.start(endpoint, fleet, instances)
            progress.sleep(fleet.container.readiness.initial_delay * self._emulator.delays.scale)
            self._fleets.ready(endpoint, fleet, instances, lambda: _check(progress))
            progress.wait("deploy.Finishing")
        except BaseException as exc:
            self._end(endpoint, fleet)
            self._failed(endpoint, deployment, exc)
            raise
        with endpoint.lock:
            before, deployment.fleet = deployment.fleet, fleet
            deployment.document, deployment.wanted = document, instances
            deployment.available = instances
            self._succeeded(endpoint, deployment)
        self._end(endpoint, before)
        return deployment_document(deployment)

    def scale(self, endpoint: Endpoint, deployment: Deployment, instances: int, progress: Progress) -> dict[str, Any]:
        """Give a deployment another number of instances.

        Raises:
            Refusal: they do not come up; there are as many as before.
            Cancelled: the operation was cancelled; as above.
        """
        before, fleet = deployment.wanted, deployment.fleet
        try:
            progress.wait("deploy.Scaling")
            self._check_machines(deployment)
            self._fleets.scale(endpoint, deployment, instances)
            if fleet is not None:
                self._fleets.ready(endpoint, fleet, instances, lambda: _check(progress))
        except BaseException as exc:
            self._fleets.scale(endpoint, deployment, before)
            self._failed(endpoint, deployment, exc)
            raise
        with endpoint.lock:
            deployment.available = instances
            self._succeeded(endpoint, deployment)
        return deployment_document(deployment)

    def delete(self, endpoint: Endpoint, deployment: Deployment, progress: Progress) -> None:
        """End a deployment that has no traffic."""
        with suppress(Cancelled):  # there is no way back
            progress.wait("deploy.Deleting")
        self._end(endpoint, deployment.fleet)
        with endpoint.lock:
            endpoint.deployments.pop(deployment.name.lower(), None)

    def _succeeded(self, endpoint: Endpoint, deployment: Deployment) -> None:
        deployment.state = records.SUCCEEDED
        endpoint.route()

    def _failed(self, endpoint: Endpoint, deployment: Deployment, exc: BaseException) -> None:
        """What is left of an operation that did not succeed; a stop of the emulator cancels it."""
        with endpoint.lock:
            cancelled = isinstance(exc, (Cancelled, Stopped)) or (isinstance(exc, Refusal) and exc.code == CANCELED)
            deployment.state = records.CANCELED if cancelled else records.FAILED
            endpoint.route()
        if isinstance(exc, Stopped):
            raise Cancelled from exc

    def _check_machines(self, deployment: Deployment) -> None:
        """Refuse where no machines are to be had: a script of faults may say so, by a rule for `PROVISIONING`."""
        if not any(rule.operation == PROVISIONING for rule, _ in self._emulator.faults.rules()):
            return
        call = Call("Microsoft.MachineLearningServices", PROVISIONING, body={"deployment": deployment.id})
        for fault in self._emulator.faults.striking(call):
            if fault.code in _NO_MACHINES:
                raise refusals.refusal(*_NO_MACHINES[fault.code])

    def _end(self, endpoint: Endpoint, fleet: Fleet | None) -> None:
        if fleet is not None:
            with suppress(Stopped):  # all servers end with the emulator
                self._fleets.end(endpoint, fleet)


def _check(progress: Progress) -> None:
    """Cancelled where the operation was cancelled."""
    if progress.cancelled:
        raise Cancelled


def noted(reply: Reply, resource: Endpoint | Deployment) -> Reply:
    """The reply that begins an operation, whose address its resource tells from now on."""
    resource.asynchronous = reply.headers.get("Azure-AsyncOperation") or resource.asynchronous
    return reply
