"""What goes on after a call has been answered: a model deployed, undeployed, or given other resources.

Each is the work of a long-running operation. Traffic moves only through the routes, and servers end only when no route
leads to them and their last request is answered, so no change fails a request. What does not succeed leaves nothing.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from google.cloud import aiplatform_v1 as vertex

from mlinfra.emulator.calls import Call
from mlinfra.emulator.gcp.endpoints import records, traffic
from mlinfra.emulator.gcp.endpoints.describe import deployed_message
from mlinfra.emulator.gcp.wire import refusals
from mlinfra.emulator.gcp.wire.messages import copied
from mlinfra.emulator.hosting.waiting import Stopped
from mlinfra.emulator.progress import Cancelled

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mlinfra.emulator.gcp.emulator import GcpEmulator
    from mlinfra.emulator.gcp.endpoints.fleets import Fleets
    from mlinfra.emulator.gcp.endpoints.records import Deployment, Endpoint
    from mlinfra.emulator.gcp.wire.longrunning import Progress

PROVISIONING = "DeployModel:Provisioning"  # what a fault's rule calls the moment at which machines are launched
_STAGE = vertex.DeploymentStage
_NO_MACHINES = (
    "Machine type temporarily unavailable, please deploy with a different machine type or retry. Resources are "
    "insufficient in the region."
)
# Virtual seconds. The service takes minutes to bring machines up; the proportions are about its own.
DELAYS: Mapping[str, float] = {
    "endpoints.Creating": 0.5,
    "endpoints.Deleting": 0.5,
    "deploy.Provisioning": 3.0,
    "deploy.Finishing": 0.5,
    "undeploy.Undeploying": 1.0,
    "mutate.Mutating": 1.0,
}


class Deployments:
    """The works of the operations. Every method blocks until its end."""

    def __init__(self, emulator: GcpEmulator, fleets: Fleets) -> None:
        self._emulator = emulator
        self._fleets = fleets

    def deploy(self, endpoint: Endpoint, deployment: Deployment, split: Mapping[str, int], progress: Progress) -> Any:
        """Bring a deployment up, let its traffic come, and return a DeployModelResponse.

        Raises:
            Refusal: it cannot be brought up; nothing of it is left.
            Cancelled: the operation was cancelled; as above.
        """
        try:
            self._bring_up(endpoint, deployment, progress)
            with endpoint.lock:
                open_to = endpoint.open_to_traffic
                shares = traffic.after_deploying(endpoint.message.traffic_split, split, open_to, deployment.id)
                deployment.state = records.DEPLOYED
                endpoint.split(shares)
                self._touch(endpoint)
        except BaseException as exc:
            self._tell(progress, _STAGE.FAILED_TO_DEPLOY)
            self._discard(endpoint, deployment)
            if isinstance(exc, Stopped):
                raise Cancelled from exc
            raise
        self._tell(progress, _STAGE.SUCCESSFULLY_DEPLOYED)
        return vertex.DeployModelResponse(deployed_model=deployed_message(deployment))

    def undeploy(self, endpoint: Endpoint, deployment: Deployment, progress: Progress) -> Any:
        """End a deployment, whose traffic has gone to others, and return an UndeployModelResponse."""
        with suppress(Cancelled):  # there is no way back
            progress.wait("undeploy.Undeploying")
        try:
            self._fleets.end(endpoint, deployment)
        except Stopped as exc:
            raise Cancelled from exc
        with endpoint.lock:
            endpoint.deployments.pop(deployment.id, None)
            self._touch(endpoint)
        return vertex.UndeployModelResponse()

    def mutate(self, endpoint: Endpoint, deployment: Deployment, wanted: Any, progress: Progress) -> Any:
        """Give a deployment what another message of it says, and return a MutateDeployedModelResponse.

        Raises:
            Refusal: its replicas do not come up; all is as it was.
            Cancelled: the operation was cancelled; as above.
        """
        before, replicas = deployment.message, deployment.wanted
        try:
            progress.wait("mutate.Mutating")
            deployment.message = wanted
            least, most = deployment.bounds
            self._fleets.scale(endpoint, deployment, min(max(replicas, least), most))
            self._fleets.ready(endpoint, deployment, deployment.required, lambda: _check(progress))
        except BaseException as exc:
            deployment.message = before
            self._fleets.scale(endpoint, deployment, replicas)
            deployment.state = records.DEPLOYED
            if isinstance(exc, Stopped):
                raise Cancelled from exc
            raise
        with endpoint.lock:
            deployment.state = records.DEPLOYED
            self._touch(endpoint)
        return vertex.MutateDeployedModelResponse(deployed_model=deployed_message(deployment))

    def _bring_up(self, endpoint: Endpoint, deployment: Deployment, progress: Progress) -> None:
        self._tell(progress, _STAGE.CREATING_SERVING_CLUSTER)
        progress.wait("deploy.Provisioning")
        if self._lacks_machines(endpoint):
            raise refusals.refusal("RESOURCE_EXHAUSTED", _NO_MACHINES)
        self._tell(progress, _STAGE.STARTING_MODEL_SERVER)
        self._fleets.start(endpoint, deployment, deployment.wanted)
        self._fleets.ready(endpoint, deployment, deployment.required, lambda: _check(progress))
        self._tell(progress, _STAGE.FINISHING_UP)
        progress.wait("deploy.Finishing")

    def _lacks_machines(self, endpoint: Endpoint) -> bool:
        """Whether no machines are to be had: a script of faults may say so, by a rule for `PROVISIONING`."""
        if not any(rule.operation == PROVISIONING for rule, _ in self._emulator.faults.rules()):
            return False
        call = Call("EndpointService", PROVISIONING, body={"endpoint": endpoint.name})
        return any(fault.code == "capacity" for fault in self._emulator.faults.striking(call))

    def _discard(self, endpoint: Endpoint, deployment: Deployment) -> None:
        """End whatever there is of a deployment that did not succeed."""
        try:
            with suppress(Stopped):  # all servers end with the emulator
                self._fleets.end(endpoint, deployment)
        finally:
            with endpoint.lock:
                endpoint.deployments.pop(deployment.id, None)

    def _tell(self, progress: Progress, stage: Any) -> None:
        progress.tell(vertex.DeployModelOperationMetadata(deployment_stage=stage))

    def _touch(self, endpoint: Endpoint) -> None:
        endpoint.touch(self._emulator.clock.now())


def _check(progress: Progress) -> None:
    """Cancelled where the operation was cancelled."""
    if progress.cancelled:
        raise Cancelled


def changed(message: Any, asked: Any, paths: Iterable[str]) -> Any:
    """A DeployedModel with what an update mask names taken over from another one."""
    made = copied(message)
    for path in paths:
        part, _, own = path.rpartition(".")
        target, source = (getattr(made, part), getattr(asked, part)) if part else (made, asked)
        setattr(target, own, getattr(source, own))
    return made
