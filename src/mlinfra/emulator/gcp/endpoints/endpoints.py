"""EndpointService: endpoints created, listed, changed and deleted; models deployed to them, mutated, undeployed.

A call is checked and answered at once; what follows is the work of a long-running operation. Several may go on at an
endpoint at a time, but only one on each deployed model.
"""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from google.cloud import aiplatform_v1 as vertex

from mlinfra.emulator.gcp import filters, listing, paging
from mlinfra.emulator.gcp.endpoints import deployments, machines, records, rules, traffic
from mlinfra.emulator.gcp.endpoints.attendant import EndpointAttendant
from mlinfra.emulator.gcp.endpoints.copies import Copies
from mlinfra.emulator.gcp.endpoints.deployments import Deployments, changed
from mlinfra.emulator.gcp.endpoints.describe import endpoint_message, new_etag
from mlinfra.emulator.gcp.endpoints.fleets import Fleets
from mlinfra.emulator.gcp.endpoints.launching import Launching
from mlinfra.emulator.gcp.endpoints.metrics import Meter
from mlinfra.emulator.gcp.endpoints.records import Endpoint
from mlinfra.emulator.gcp.endpoints.requestlog import RequestLog, destination
from mlinfra.emulator.gcp.names import new_id
from mlinfra.emulator.gcp.operations import Method, Request, named
from mlinfra.emulator.gcp.wire import refusals
from mlinfra.emulator.gcp.wire.messages import copied
from mlinfra.emulator.hosting.gateway import Gateway
from mlinfra.emulator.hosting.hosting import Hosting
from mlinfra.emulator.progress import Cancelled
from mlinfra.emulator.table import Duplicate, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlinfra.emulator.gcp.emulator import GcpEmulator
    from mlinfra.emulator.gcp.endpoints.metrics import Noted
    from mlinfra.emulator.gcp.endpoints.records import Deployment
    from mlinfra.emulator.gcp.wire.longrunning import Progress

SERVICE = "EndpointService"
DELAYS = deployments.DELAYS
_LONGEST_REQUEST = 3600.0  # s, of a dedicated endpoint; others are timed by the predictions
_LARGEST_BODY = 1 << 26  # bytes, as above
_UPDATABLE = frozenset(
    {"display_name", "description", "labels", "traffic_split", "predict_request_response_logging_config"}
)
_FIELDS = {"endpoint": filters.own_id(), "display_name": filters.text("display_name")}
_ORDERS = ("display_name", "create_time", "update_time")


class Endpoints:
    """The endpoints of one project and region."""

    def __init__(self, emulator: GcpEmulator) -> None:
        self._emulator = emulator
        self._table: Table[Endpoint] = Table(emulator.clock, emulator.settings.list_lag)
        self._stop = Event()
        self.copies = Copies(emulator)
        self.fleets = Fleets(
            emulator.folder / "endpoints", emulator.clock, emulator.asked_to_stop, emulator.project_number
        )
        self._launching = Launching(emulator, self.copies, self.fleets)
        self._deployments = Deployments(emulator, self.fleets)
        self._attendant = EndpointAttendant(emulator, self, self._stop)
        self.fleets.before_end = self._attendant.carry_logs
        emulator.monitoring.before_reading.append(self.publish)

    # What other parts ask

    def find(self, name: str) -> Endpoint | None:
        """An endpoint by its name as the service tells it; None where there is none."""
        found = self._table.get(name)
        return found if found and found.exists else None

    def get(self, name: str) -> Endpoint:
        """An endpoint by its name, with the project's id or number. Refusal where there is none."""
        found = self.find(self._emulator.place.resolve(name))
        if found is None:
            raise refusals.not_found("The Endpoint")
        return found

    def items(self) -> list[Endpoint]:
        """Every endpoint there is."""
        return self._table.values()

    def deployed(self, model: str) -> list[tuple[str, str]]:
        """Where a model is deployed, or one version of it (`…@2`): endpoints' names, and the ids of the deployments."""
        name, _, version = model.partition("@")
        return [
            (endpoint.name, each.id)
            for endpoint in self.items()
            for each in list(endpoint.deployments.values())
            if each.message.model == name and version in {"", each.message.model_version_id}
        ]

    def leftovers(self) -> list[str]:
        """The names of every endpoint there is."""
        return [endpoint.name for endpoint in self.items()]

    def publish(self) -> None:
        """Publish the metrics of the minutes that have ended."""
        now = self._emulator.clock.now()
        for endpoint in self.items():
            endpoint.meter.publish(now)

    def log_access(self, endpoint: Endpoint, deployment: Deployment, noted: Noted) -> None:
        """Write the access log's entry of a request."""
        self._attendant.log_access(endpoint, deployment, noted)

    def admin(self, request: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """`endpoints/requestlog`, with an endpoint's `name`: the rows that its request-response logging has written."""
        if request != "endpoints/requestlog":
            return None
        endpoint = self.get(str(body.get("name", "")))
        config = endpoint.message.predict_request_response_logging_config
        table = destination(config, endpoint.message.display_name, endpoint.id) if config.enabled else ""
        return {"table": table, "rows": endpoint.log.rows()}

    def stop(self) -> None:
        """End every thread and process. Blocks until they have."""
        self._stop.set()
        self._attendant.stop()
        self._attendant.end_all()

    # Operations

    def create(self, request: Request) -> Any:
        """CreateEndpoint."""
        asked = request.message
        self._emulator.place.resolve(asked.parent)
        if asked.endpoint_id:
            rules.check_endpoint_id(asked.endpoint_id)
        rules.check_endpoint(asked.endpoint)
        endpoint = self._new(asked.endpoint, asked.endpoint_id or new_id())
        try:
            self._table.add(endpoint.name, endpoint)
        except Duplicate:
            raise refusals.already_exists(f"Endpoint {endpoint.name} already exists.") from None
        self._attendant.start()

        def work(progress: Progress) -> Any:
            try:
                progress.wait("endpoints.Creating")
            except Cancelled:
                self._table.remove(endpoint.name)
                raise
            if endpoint.message.dedicated_endpoint_enabled:
                endpoint.address = self._emulator.addresses.open(endpoint.name)
                endpoint.message.dedicated_endpoint_dns = endpoint.address.dns
            endpoint.exists = True
            return endpoint_message(endpoint)

        metadata = vertex.CreateEndpointOperationMetadata()
        return self._emulator.longrunning.start("CreateEndpoint", endpoint.name, work, metadata)

    def list_(self, request: Request) -> Any:
        """ListEndpoints."""
        asked = request.message
        self._emulator.place.resolve(asked.parent)
        messages = [endpoint_message(each) for each in self._table.listed() if each.exists]
        found = filters.matching(asked.filter, messages, _FIELDS)
        page = paging.page(listing.ordered(found, asked.order_by, _ORDERS), asked, key=lambda each: each.name)
        shown = [listing.only(each, asked.read_mask) for each in page.items]
        return vertex.ListEndpointsResponse(endpoints=shown, next_page_token=page.token)

    def update(self, request: Request) -> Any:
        """UpdateEndpoint."""
        asked = request.message.endpoint
        paths = [path.partition(".")[0] for path in request.message.update_mask.paths]
        wrong = sorted(set(paths) - _UPDATABLE)
        if wrong or not paths:
            raise refusals.invalid_argument(
                f"update_mask names {', '.join(wrong) or 'nothing'}; of an Endpoint can be updated: "
                f"{', '.join(sorted(_UPDATABLE))}.",
                "update_mask",
            )
        endpoint = self.get(asked.name)
        with endpoint.lock:
            self._check_etag(endpoint, asked.etag)
            self._change(endpoint, asked, paths)
        return endpoint_message(endpoint)

    def delete(self, request: Request) -> Any:
        """DeleteEndpoint."""
        endpoint = self.get(request.message.name)
        with endpoint.lock:
            if endpoint.deployments:
                raise refusals.failed_precondition(
                    f"Endpoint {endpoint.name} has deployed or being-deployed DeployedModel(s): "
                    f"{', '.join(endpoint.deployments)}. Undeploy them before deleting the Endpoint."
                )
            endpoint.exists = False

        def work(progress: Progress) -> None:
            try:
                progress.wait("endpoints.Deleting")
            except Cancelled:
                endpoint.exists = True
                raise
            self.fleets.close(endpoint)
            endpoint.meter.publish(self._emulator.clock.now(), everything=True)
            self._table.remove(endpoint.name)

        metadata = vertex.DeleteOperationMetadata()
        return self._emulator.longrunning.start("DeleteEndpoint", endpoint.name, work, metadata)

    def deploy(self, request: Request) -> Any:
        """DeployModel."""
        asked = request.message
        endpoint = self.get(asked.endpoint)
        rules.check_deployed_model(asked.deployed_model, endpoint.deployments)
        deployment = self._launching.prepared(endpoint, request)
        with endpoint.lock:
            if not endpoint.exists:
                raise refusals.not_found("The Endpoint")
            rules.check_deployed_model(asked.deployed_model, endpoint.deployments)
            split, open_to = dict(asked.traffic_split), endpoint.open_to_traffic
            traffic.after_deploying(endpoint.message.traffic_split, split, open_to, deployment.id)
            machines.check_quota(self._emulator.quotas, deployment.message.dedicated_resources, self._resources())
            endpoint.deployments[deployment.id] = deployment
        stage = vertex.DeploymentStage.STARTING_DEPLOYMENT
        return self._emulator.longrunning.start(
            "DeployModel",
            endpoint.name,
            lambda progress: self._deployments.deploy(endpoint, deployment, split, progress),
            vertex.DeployModelOperationMetadata(deployment_stage=stage),
        )

    def undeploy(self, request: Request) -> Any:
        """UndeployModel."""
        asked = request.message
        endpoint = self.get(asked.endpoint)
        with endpoint.lock:
            deployment = self._idle(endpoint, asked.deployed_model_id)
            shares = traffic.after_undeploying(
                endpoint.message.traffic_split, dict(asked.traffic_split), endpoint.open_to_traffic, deployment.id
            )
            deployment.state = records.UNDEPLOYING
            endpoint.split(shares)
            endpoint.touch(self._emulator.clock.now())
        return self._emulator.longrunning.start(
            "UndeployModel",
            endpoint.name,
            lambda progress: self._deployments.undeploy(endpoint, deployment, progress),
            vertex.UndeployModelOperationMetadata(),
        )

    def mutate(self, request: Request) -> Any:
        """MutateDeployedModel."""
        asked = request.message
        endpoint = self.get(asked.endpoint)
        paths = list(asked.update_mask.paths)
        rules.check_mask(paths)
        with endpoint.lock:
            deployment = self._idle(endpoint, asked.deployed_model.id)
            wanted = changed(deployment.message, asked.deployed_model, paths)
            rules.check_resources(wanted.dedicated_resources)
            machines.check_quota(self._emulator.quotas, wanted.dedicated_resources, self._resources(deployment))
            deployment.state = records.MUTATING
        return self._emulator.longrunning.start(
            "MutateDeployedModel",
            endpoint.name,
            lambda progress: self._deployments.mutate(endpoint, deployment, wanted, progress),
            vertex.MutateDeployedModelOperationMetadata(),
        )

    # The parts

    def _new(self, asked: Any, own: str) -> Endpoint:
        """An endpoint of which nothing runs yet."""
        now = self._emulator.clock.now()
        message = copied(asked)
        message.name = self._emulator.place.name("endpoints", own)
        message.create_time = message.update_time = now
        message.etag = new_etag()
        hosting = Hosting(
            self._emulator.host, f"{own}.{uuid4().hex[:8]}", timeout=_LONGEST_REQUEST, max_body=_LARGEST_BODY
        )
        endpoint = Endpoint(
            message=message,
            id=own,
            hosting=hosting,
            gateway=Gateway(hosting),
            meter=Meter(own, self._emulator.monitoring.put),
            log=RequestLog(),
        )
        endpoint.log.configure(message.predict_request_response_logging_config)
        return endpoint

    def _change(self, endpoint: Endpoint, asked: Any, paths: list[str]) -> None:
        """Take over what a mask names, all of it or nothing."""
        shares: dict[str, int] | None = None
        if "traffic_split" in paths:
            shares = traffic.checked(asked.traffic_split, endpoint.open_to_traffic)
        wanted = copied(endpoint.message)
        for path in set(paths) - {"traffic_split"}:
            setattr(wanted, path, getattr(asked, path))
        rules.check_display_name(wanted.display_name)
        rules.check_logging(wanted.predict_request_response_logging_config)
        endpoint.message = wanted
        if shares is not None:
            endpoint.split(shares)
        if "predict_request_response_logging_config" in paths:
            endpoint.log.configure(wanted.predict_request_response_logging_config)
        endpoint.touch(self._emulator.clock.now())

    def _resources(self, but: Deployment | None = None) -> list[Any]:
        """What all deployments but one take."""
        everything = [each for endpoint in self.items() for each in list(endpoint.deployments.values())]
        return [each.message.dedicated_resources for each in everything if each is not but]

    def _idle(self, endpoint: Endpoint, own: str) -> Deployment:
        """A deployment on which nothing is under way."""
        found = endpoint.deployments.get(own)
        if found is None:
            raise refusals.not_found(f"DeployedModel with id {own} in Endpoint {endpoint.name}")
        if found.state != records.DEPLOYED:
            raise refusals.failed_precondition(
                f"DeployedModel {own} of Endpoint {endpoint.name} is {found.state}: an operation is under way."
            )
        return found

    def _check_etag(self, endpoint: Endpoint, etag: str) -> None:
        if etag and etag != endpoint.message.etag:
            raise refusals.aborted(f"The etag {etag} does not match that of Endpoint {endpoint.name}.")


def _method(
    name: str,
    verb: str,
    handle: Callable[[Endpoints, Request], Any],
    *resource: str,
    kind: Any = "submit",
    differences: tuple[str, ...] = (),
) -> Method:
    def answer(emulator: GcpEmulator, request: Request) -> Any:
        return handle(emulator.endpoints, request)

    return Method(SERVICE, name, answer, f"aiplatform.endpoints.{verb}", named(*resource), kind, differences)


METHODS = (
    _method(
        "CreateEndpoint",
        "create",
        Endpoints.create,
        "parent",
        differences=(
            "a dedicated endpoint's address is a port of its own on localhost instead of a DNS name",
            "networks, private service connect and keys are kept and told; nothing is peered or encrypted",
        ),
    ),
    _method(
        "GetEndpoint",
        "get",
        lambda endpoints, request: endpoint_message(endpoints.get(request.message.name)),
        "name",
        kind="read",
    ),
    _method("ListEndpoints", "list", Endpoints.list_, "parent", kind="read", differences=("without base_model_name",)),
    _method("UpdateEndpoint", "update", Endpoints.update, "endpoint", "name", kind="read"),
    _method("DeleteEndpoint", "delete", Endpoints.delete, "name"),
    _method(
        "DeployModel",
        "deploy",
        Endpoints.deploy,
        "endpoint",
        differences=(
            "a replica is a process with a port of its own, told in AIP_HTTP_PORT whatever containerSpec.ports says",
            "an image stands for a program that was registered with it; every other image answers 'not emulated'",
            "machines, accelerators, spot and probes mean nothing; health is GET healthRoute, within 2 s and not 10",
            "a container that ends three times before it is ready fails the operation without waiting for the time-out",
            "a server that stops answering its health checks is started again, and not only left without requests",
            "a container without a deployment_timeout gets 30 minutes; the service's own is not published",
            "automatic and shared resources are refused; explanations are not computed",
        ),
    ),
    _method("UndeployModel", "undeploy", Endpoints.undeploy, "endpoint"),
    _method(
        "MutateDeployedModel",
        "update",
        Endpoints.mutate,
        "endpoint",
        differences=("which permission is asked is not published; here that of updating the endpoint",),
    ),
)
