"""Endpoints: what is desired, what is there, and how an adapter gets from one to the other.

The rollout controller of the engine yields one desired endpoint after the other (deployments, traffic,
capacity). An adapter knows nothing of rollouts: it takes the endpoint from what is there to what is desired.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from mlinfra.contract.health import Health
    from mlinfra.contract.jobs import Artefact, Choice, LogPage
    from mlinfra.contract.requests import Document, Request
    from mlinfra.contract.states import EndpointState
    from mlinfra.contract.steps import Step
    from mlinfra.environment import Environment
    from mlinfra.spec import EndpointSpec

ASYNCHRONOUS_FOLDER = "asynchronous"  # in the environment's store: below it a folder for each asynchronous endpoint


@dataclass(frozen=True)
class DeploymentDesired:
    """One model version behind an endpoint. `traffic` is in percent; `replicas` is where to start.

    `name` is derived from the variant's name and the digest of all that makes the deployment what it is, so an
    unchanged deployment keeps its name and a changed one is a new deployment. `server` are the settings that the
    model server reads (portable; the adapter adds the container's paths). `requirements` are those of the model
    package, empty where it is sealed. For a serverless endpoint the package also lies beside the artefact's folder as
    one archive, `<artefact.uri>.tar.gz`.
    """

    name: str
    variant: str
    model: str
    version: str
    digest: str
    native_model: str
    artefact: Artefact
    traffic: int
    replicas: int
    server: Document = field(default_factory=dict)
    manifest: Document = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Rule:
    """Back when `metric` is above `above`: a share of the requests for rates, seconds for latencies."""

    metric: str
    above: float


@dataclass(frozen=True)
class Guard:
    """How the platform itself makes a change, watches it, and goes back when an alarm goes off.

    `steps` are the new deployment's percents, ending with 100; `bake` the seconds that each one lasts; `alarms` are
    the platform's own names of those that exist. For each of `rules` the adapter makes an alarm, which says nothing
    over fewer than `enough` requests, and takes it away with the endpoint.
    """

    steps: tuple[int, ...]
    bake: float
    alarms: tuple[str, ...]
    rules: tuple[Rule, ...] = ()
    enough: int = 1


@dataclass(frozen=True)
class EndpointDesired:
    """An endpoint as it should be. Without deployments it should be gone.

    `name` is the spec's, `physical_name` the platform's. Traffic sums to 100. `shadow` names the deployment that
    gets copies of requests, its share in percent beside it. `expires` is when a platform that can should end it.
    With a `guard`, one deployment takes the place of one other, and the platform decides whether it stays.
    """

    spec: EndpointSpec
    name: str
    physical_name: str
    deployments: tuple[DeploymentDesired, ...]
    shadow: tuple[str, int] | None = None
    expires: datetime | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    guard: Guard | None = None

    @property
    def absent(self) -> bool:
        """Whether nothing of the endpoint should remain."""
        return not self.deployments

    @property
    def traffic(self) -> dict[str, int]:
        """Deployment name -> percent."""
        return {deployment.name: deployment.traffic for deployment in self.deployments}


@dataclass(frozen=True)
class DeploymentObservation:
    """A deployment as the platform tells it. `native_id` is the platform's own name of it where that is another."""

    name: str
    state: EndpointState
    traffic: int = 0
    replicas: int = 0
    ready_replicas: int = 0
    digest: str = ""
    model: str = ""
    version: str = ""
    reason: str = ""
    detail: str = ""
    created: datetime | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    native_id: str = ""
    native: Document = field(default_factory=dict)


@dataclass(frozen=True)
class EndpointObservation:
    """An endpoint as the platform tells it. `url` is where predictions are asked for.

    `complete` is false where a list tells less than a look at the endpoint itself would. An `asynchronous` one takes
    requests through the store (`AsynchronousRenderer`).
    """

    native_id: str
    name: str
    physical_name: str
    state: EndpointState
    deployments: tuple[DeploymentObservation, ...] = ()
    url: str = ""
    reason: str = ""
    detail: str = ""
    etag: str = ""
    created: datetime | None = None
    expires: datetime | None = None
    owned_by_stack: bool = False
    complete: bool = True
    asynchronous: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
    native: Document = field(default_factory=dict)

    @property
    def traffic(self) -> dict[str, int]:
        """Deployment name -> percent."""
        return {deployment.name: deployment.traffic for deployment in self.deployments}

    def deployment(self, name: str) -> DeploymentObservation | None:
        """The deployment of that name."""
        return next((deployment for deployment in self.deployments if deployment.name == name), None)


@dataclass(frozen=True)
class EndpointPage:
    """One page of endpoints. `token` asks for the next, None at the end."""

    endpoints: tuple[EndpointObservation, ...]
    token: str | None = None


@dataclass(frozen=True)
class Invocation:
    """A model server's answer. `status` is its HTTP status, `deployment` which one answered, if told.

    An adapter gives the platform's own name of the deployment; the engine puts the kit's in its place.
    """

    status: int
    body: bytes
    content_type: str = "application/json"
    deployment: str = ""


@dataclass(frozen=True)
class Deferred:
    """Where in the environment's store the answer of an asynchronous request will lie, and where a failure's text."""

    answer: str
    failure: str


@dataclass(frozen=True)
class Snippets:
    """A working, authenticated call of the endpoint for people to copy."""

    curl: str
    python: str


class EndpointRenderer(Protocol):
    """The module `render/endpoints.py`. Pure; imports no SDK.

    `METRIC_PERIOD` is the seconds that one metric period lasts, `METRIC_DELAY` how long a complete one takes to
    become visible.
    """

    METRIC_PERIOD: float
    METRIC_DELAY: float

    def physical_name(self, name: str, environment: Environment) -> str:
        """The endpoint's name on the platform; carries six hex digits of `environment.id`."""

    def choices(self, spec: EndpointSpec, environment: Environment) -> list[Choice]:
        """The machine and image that its deployments would get."""

    def observe(self, physical_name: str, environment: Environment) -> tuple[Request, ...]:
        """The reads from whose replies `observe.endpoint` tells what is there.

        Later ones may refer to earlier ones; a read that finds nothing counts as None, and so do those that
        refer to it.
        """

    def next_step(
        self, desired: EndpointDesired, observed: EndpointObservation | None, environment: Environment
    ) -> Step:
        """One step towards what is desired.

        New deployments become ready before traffic moves to them, traffic leaves a deployment before it goes,
        and nothing is deleted that the endpoint still uses.
        """

    def list_endpoints(self, environment: Environment, token: str | None) -> Request:
        """One page of the endpoints that carry the kit's tag."""

    def health(
        self, endpoint: EndpointObservation, deployment: str, since: datetime, environment: Environment
    ) -> tuple[Request, ...]:
        """The reads from whose replies `observe.health` counts."""

    def invoke(
        self,
        endpoint: EndpointObservation,
        deployment: str | None,
        body: bytes,
        content_type: str,
        environment: Environment,
    ) -> Request:
        """One prediction request, at one deployment where named. The body travels base64-encoded as `body`."""

    def logs(
        self, endpoint: EndpointObservation, deployment: str | None, environment: Environment, token: str | None
    ) -> Request:
        """The next lines of the servers' logs."""

    def snippets(self, endpoint: EndpointObservation, example: Document, environment: Environment) -> Snippets:
        """How to call it, with an example body that it would accept."""

    def console_url(self, endpoint: EndpointObservation, environment: Environment) -> str:
        """The address of the vendor's page for it, empty where there is none."""


class AsynchronousRenderer(EndpointRenderer, Protocol):
    """`render/endpoints.py` of a platform that has `ENDPOINT_ASYNCHRONOUS`."""

    def invoke_later(
        self,
        endpoint: EndpointObservation,
        source: str,
        content_type: str,
        environment: Environment,
        *,
        time_limit: float,
    ) -> Request:
        """Put a request into the endpoint's queue; `source` is the address of its body, which must stay for so long."""


class EndpointObserver(Protocol):
    """The part of the module `observe.py` that reads replies about endpoints."""

    def endpoint(self, replies: Mapping[str, Document | None], environment: Environment) -> EndpointObservation | None:
        """The replies of `observe` by step; None where there is no endpoint."""

    def endpoints(self, reply: Mapping[str, Any], environment: Environment) -> EndpointPage:
        """A reply of `list_endpoints`."""

    def health(self, replies: Mapping[str, Document | None], since: datetime, environment: Environment) -> Health:
        """The replies of `health` by step."""

    def invocation(self, reply: Mapping[str, Any], environment: Environment) -> Invocation:
        """A reply of `invoke`."""

    def endpoint_logs(self, reply: Mapping[str, Any], environment: Environment) -> LogPage:
        """A reply of `logs`."""

    def capture(self, record: Document, key: str) -> Document:
        """A line of a capture file as the kit's own server would have written it; `key` is where the file lies.

        `model_digest` is left out where the platform does not tell it.
        """


class AsynchronousObserver(EndpointObserver, Protocol):
    """`observe.py` of a platform that has `ENDPOINT_ASYNCHRONOUS`."""

    def deferred(self, reply: Mapping[str, Any], environment: Environment) -> Deferred:
        """A reply of `invoke_later`."""

    def failure(self, content: bytes, environment: Environment) -> Invocation:
        """The text that lies where a failure is told, as the model server's answer."""
