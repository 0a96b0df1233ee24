"""Endpoints as the host takes them: a gateway that splits traffic, and a model server for each deployment."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from mlinfra.contract.endpoints import Snippets
from mlinfra.contract.jobs import Choice
from mlinfra.contract.manifest import manifest_variables
from mlinfra.contract.requests import Lookup, Request
from mlinfra.contract.states import EndpointState
from mlinfra.contract.steps import Done, Failed, Send, Step, Wait
from mlinfra.spec import derive_name
from mlinfra_local.config import EXPIRED, NAME_TAG, SERVICE, overridden

if TYPE_CHECKING:
    from datetime import datetime

    from mlinfra.contract.endpoints import (
        DeploymentDesired,
        DeploymentObservation,
        EndpointDesired,
        EndpointObservation,
    )
    from mlinfra.contract.jobs import Artefact
    from mlinfra.contract.requests import Document
    from mlinfra.environment import Environment
    from mlinfra.spec import EndpointSpec

METRIC_PERIOD = 1.0  # the gateway counts by the second
METRIC_DELAY = 1.0  # and writes a second down when it is over

START_TIMEOUT = 120.0  # seconds in which a model server must become ready
_POLL = 0.1
_MANIFEST_LENGTH = 100_000  # characters of one variable; Linux takes 131,071
_PYTHON, _PORT = "{python}", "{port}"  # what the host fills in


def physical_name(name: str, environment: Environment) -> str:
    """The spec's name and six digits of the environment."""
    return derive_name("endpoint", "local", name, environment_id=environment.id)


def choices(spec: EndpointSpec, environment: Environment) -> list[Choice]:  # noqa: ARG001  this machine is the same for all
    """This machine, with as many servers as there are replicas."""
    return [
        Choice("machine", "this machine", "platform local has no other", count=max(1, spec.scale.min), price="nothing")
    ]


def observe(physical_name: str, environment: Environment) -> tuple[Request, ...]:  # noqa: ARG001  one host, one list
    """One DescribeEndpoint tells everything."""
    return (_describe(physical_name),)


def next_step(desired: EndpointDesired, observed: EndpointObservation | None, environment: Environment) -> Step:  # noqa: ARG001  one host
    """The endpoint, then its deployments, then traffic, then what is no longer wanted."""
    if desired.absent:
        return _towards_nothing(desired, observed)
    if observed is None:
        return Send((_create_endpoint(desired),))
    steps = (phase(desired, observed) for phase in (_alive, _deployed, _sized, _ready, _routed, _tidied))
    return next((step for step in steps if step is not None), Done())


def list_endpoints(environment: Environment, token: str | None) -> Request:  # noqa: ARG001  one host, one list
    """A page of endpoints."""
    body: Document = {"page_size": 100, **({"page_token": token} if token else {})}
    return Request(step="endpoints", service=SERVICE, operation="ListEndpoints", body=body, effect=False)


def health(
    endpoint: EndpointObservation,
    deployment: str,
    since: datetime,
    environment: Environment,  # noqa: ARG001  one host, one list
) -> tuple[Request, ...]:
    """The gateway's own counts."""
    body: Document = {"endpoint": endpoint.physical_name, "deployment": deployment, "since": since.isoformat()}
    return (Request(step="health", service=SERVICE, operation="GetDeploymentMetrics", body=body, effect=False),)


def invoke(
    endpoint: EndpointObservation,
    deployment: str | None,
    body: bytes,
    content_type: str,
    environment: Environment,  # noqa: ARG001  one host, one list
) -> Request:
    """One request through the gateway."""
    question: Document = {
        "endpoint": endpoint.physical_name,
        "body": base64.b64encode(body).decode(),
        "content_type": content_type,
        **({"deployment": deployment} if deployment else {}),
    }
    return Request(step="invoke", service=SERVICE, operation="InvokeEndpoint", body=question, effect=False)


def logs(
    endpoint: EndpointObservation,
    deployment: str | None,
    environment: Environment,  # noqa: ARG001  one host, one list
    token: str | None,
) -> Request:
    """The next lines of the servers."""
    body: Document = {
        "endpoint": endpoint.physical_name,
        **({"deployment": deployment} if deployment else {}),
        **({"token": token} if token else {}),
    }
    return Request(step="logs", service=SERVICE, operation="GetEndpointLogs", body=body, effect=False)


def snippets(endpoint: EndpointObservation, example: Document, environment: Environment) -> Snippets:  # noqa: ARG001  loopback asks nobody who he is
    """A call without credentials: who is logged in may ask."""
    body = json.dumps(example)
    url = f"{endpoint.url}/invocations"
    return Snippets(
        curl=f"curl -s {url} -H 'Content-Type: application/json' -d '{body}'",
        python="\n".join(
            (
                "import json, urllib.request",
                f"request = urllib.request.Request({url!r}, json.dumps({example!r}).encode(),",
                "                                 {'Content-Type': 'application/json'})",
                "print(json.load(urllib.request.urlopen(request)))",
            )
        ),
    )


def console_url(endpoint: EndpointObservation, environment: Environment) -> str:  # noqa: ARG001  one host
    """The gateway's own page of figures."""
    return endpoint.url


def _towards_nothing(desired: EndpointDesired, observed: EndpointObservation | None) -> Step:
    if observed is None:
        return Done()
    if observed.state is EndpointState.DELETING:
        return Wait("the endpoint's processes to end", _POLL)
    return Send((_endpoint_request("delete", "DeleteEndpoint", {"endpoint": desired.physical_name}),))


def _alive(desired: EndpointDesired, observed: EndpointObservation) -> Step | None:
    """An endpoint whose time was over makes room for a new one."""
    if observed.detail == EXPIRED:
        return Send((_endpoint_request("delete", "DeleteEndpoint", {"endpoint": desired.physical_name}),))
    return Wait("the old endpoint's processes to end", _POLL) if observed.state is EndpointState.DELETING else None


def _deployed(desired: EndpointDesired, observed: EndpointObservation) -> Step | None:
    """Every deployment that is wanted is there and has not failed."""
    missing = [each for each in desired.deployments if observed.deployment(each.name) is None]
    if missing:
        return Send(tuple(_create_deployment(desired, each) for each in missing))
    wanted = desired.traffic
    failed = [each for each in observed.deployments if each.name in wanted and each.state is EndpointState.FAILED]
    if failed:
        return Failed(f"deployment {failed[0].name} did not become ready: {failed[0].reason}")
    return None


def _sized(desired: EndpointDesired, observed: EndpointObservation) -> Step | None:
    """Every deployment has as many replicas as it should."""
    there = {each.name: each.replicas for each in observed.deployments}
    requests = tuple(
        _endpoint_request(
            f"resize-{each.name}",
            "UpdateDeployment",
            {"endpoint": desired.physical_name, "deployment": each.name, "replicas": each.replicas},
        )
        for each in desired.deployments
        if there[each.name] != each.replicas
    )
    return Send(requests) if requests else None


def _ready(desired: EndpointDesired, observed: EndpointObservation) -> Step | None:
    """Every deployment answers, and the gateway has followed the last change."""
    waited_for = [each.name for each in desired.deployments if not _is_ready(observed.deployment(each.name))]
    if waited_for:
        return Wait(f"{', '.join(waited_for)} to become ready", _POLL)
    return Wait("the gateway to follow", _POLL) if observed.state.busy else None


def _routed(desired: EndpointDesired, observed: EndpointObservation) -> Step | None:
    """Traffic, shadow and end are as they should be."""
    changes = _changes(desired, observed)
    if not changes:
        return None
    body: Document = {"endpoint": desired.physical_name, "etag": observed.etag, **changes}
    return Send((_endpoint_request("update", "UpdateEndpoint", body),))


def _tidied(desired: EndpointDesired, observed: EndpointObservation) -> Step | None:
    """Nothing is left that nobody wants."""
    surplus = [each for each in observed.deployments if each.name not in desired.traffic]
    to_end = [each for each in surplus if each.state is not EndpointState.DELETING]
    if to_end:
        return Send(tuple(_delete_deployment(desired, each) for each in to_end))
    return Wait(f"{', '.join(each.name for each in surplus)} to drain", _POLL) if surplus else None


def _changes(desired: EndpointDesired, observed: EndpointObservation) -> Document:
    """What UpdateEndpoint has to set."""
    changes: Document = {}
    shares = {name: share for name, share in desired.traffic.items() if share}
    if shares != {name: share for name, share in observed.traffic.items() if share}:
        changes["traffic"] = shares
    shadow = {"deployment": desired.shadow[0], "percent": desired.shadow[1]} if desired.shadow else None
    if shadow != observed.native["shadow"]:
        changes |= {"shadow": shadow} if shadow else {"remove_shadow": True}
    if desired.expires != observed.expires:
        changes |= {"expires_at": desired.expires.isoformat()} if desired.expires else {"remove_expiry": True}
    return changes


def _is_ready(deployment: DeploymentObservation | None) -> bool:
    return (
        deployment is not None
        and deployment.state is EndpointState.READY
        and deployment.ready_replicas >= deployment.replicas
    )


def _describe(physical_name: str) -> Request:
    body: Document = {"endpoint": physical_name}
    return Request(step="endpoint", service=SERVICE, operation="DescribeEndpoint", body=body, effect=False)


def _create_endpoint(desired: EndpointDesired) -> Request:
    body: Document = {
        "endpoint": desired.physical_name,
        "tags": {**desired.tags, NAME_TAG: desired.name},
        **({"expires_at": desired.expires.isoformat()} if desired.expires else {}),
    }
    body = overridden("CreateEndpoint", body, desired.spec)
    return _endpoint_request("create", "CreateEndpoint", body, Lookup(_describe(desired.physical_name)))


def _create_deployment(desired: EndpointDesired, deployment: DeploymentDesired) -> Request:
    sealed = "file" in (deployment.manifest.get("sealed") or {})
    requirements = [] if sealed else deployment.manifest.get("requirements") or []
    body: Document = {
        "endpoint": desired.physical_name,
        "deployment": deployment.name,
        "argv": [_PYTHON, "-m", "mlinfra.serving", "--model", _folder(deployment.artefact), "--port", _PORT],
        "env": manifest_variables({"serving": _server(deployment)}, length=_MANIFEST_LENGTH, count=1),
        "interpreter": {
            "python": deployment.manifest.get("python") if requirements else None,
            "requirements_lock": "".join(f"{requirement}\n" for requirement in requirements) or None,
        },
        "model": {"name": deployment.model, "version": int(deployment.version), "digest": deployment.digest},
        "replicas": deployment.replicas,
        "start_timeout": START_TIMEOUT,
        "tags": dict(deployment.tags),
    }
    body = overridden("CreateDeployment", body, desired.spec)
    # Whether a deployment of this name is there is the endpoint's to tell, and the next look at it does.
    return _endpoint_request(f"deploy-{deployment.name}", "CreateDeployment", body)


def _server(deployment: DeploymentDesired) -> Document:
    """The server's settings; it writes captures into a folder of this machine."""
    settings = dict(deployment.server)
    if "capture" in settings:
        settings["capture"] = _path(settings["capture"])
    return settings


def _delete_deployment(desired: EndpointDesired, deployment: DeploymentObservation) -> Request:
    body: Document = {"endpoint": desired.physical_name, "deployment": deployment.name}
    return _endpoint_request(f"remove-{deployment.name}", "DeleteDeployment", body)


def _endpoint_request(step: str, operation: str, body: Document, lookup: Lookup | None = None) -> Request:
    return Request(step=step, service=SERVICE, operation=operation, body=body, repeatable=True, lookup=lookup)


def _folder(artefact: Artefact) -> str:
    return _path(artefact.uri)


def _path(uri: str) -> str:
    return unquote(urlsplit(uri).path)
