"""The host's replies about endpoints and their deployments."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mlinfra.contract.endpoints import DeploymentObservation, EndpointObservation, EndpointPage, Invocation
from mlinfra.contract.health import Health
from mlinfra.contract.states import EndpointState
from mlinfra_local.config import EXPIRED, NAME_TAG
from mlinfra_local.observe.jobs import logs
from mlinfra_local.observe.words import time_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.contract.jobs import LogPage
    from mlinfra.contract.requests import Document
    from mlinfra.environment import Environment

_ENDPOINT_STATES = {
    "creating": EndpointState.CREATING,
    "ready": EndpointState.READY,
    "updating": EndpointState.UPDATING,
    "failed": EndpointState.FAILED,
    "deleting": EndpointState.DELETING,
    EXPIRED: EndpointState.FAILED,
}


def endpoint(replies: Mapping[str, Document | None], environment: Environment) -> EndpointObservation | None:
    """DescribeEndpoint; an endpoint that has expired holds nothing any more, but must be deleted to be made anew."""
    reply = replies["endpoint"]
    return None if reply is None else _endpoint(reply, environment)


def endpoints(reply: Mapping[str, Any], environment: Environment) -> EndpointPage:
    """ListEndpoints, without what other tools run on this host."""
    ours = [each for each in reply["endpoints"] if NAME_TAG in each["tags"]]
    return EndpointPage(tuple(_endpoint(each, environment) for each in ours), reply["next_token"])


def health(
    replies: Mapping[str, Document | None],
    since: datetime,
    environment: Environment,  # noqa: ARG001  the contract's signature
) -> Health:
    """GetDeploymentMetrics; a deployment that is gone had no requests."""
    reply = replies["health"]
    if reply is None:
        return Health(since=since, as_of=since, requests=0, errors=0)
    return Health(
        since=since,
        as_of=datetime.fromisoformat(reply["as_of"]),
        requests=reply["requests"],
        errors=reply["errors"],
        rejected=reply["rejected"],
        p50=reply["p50"],
        p99=reply["p99"],
    )


def invocation(reply: Mapping[str, Any], environment: Environment) -> Invocation:  # noqa: ARG001  the contract's signature
    """InvokeEndpoint."""
    return Invocation(reply["status"], base64.b64decode(reply["body"]), reply["content_type"], reply["deployment"])


def endpoint_logs(reply: Mapping[str, Any], environment: Environment) -> LogPage:
    """GetEndpointLogs."""
    return logs(reply, environment)


def capture(record: Document, key: str) -> Document:  # noqa: ARG001  the contract's signature
    """The kit's own server wrote it."""
    return record


def _endpoint(reply: Mapping[str, Any], environment: Environment) -> EndpointObservation:  # noqa: ARG001  one host
    tags = dict(reply["tags"])
    return EndpointObservation(
        native_id=reply["endpoint"],
        name=tags.pop(NAME_TAG, reply["endpoint"]),
        physical_name=reply["endpoint"],
        state=_ENDPOINT_STATES.get(reply["state"], EndpointState.UNKNOWN),
        deployments=tuple(_deployment(each) for each in reply["deployments"]),
        url=reply["url"],
        reason=reply["reason"],
        detail=reply["state"],
        etag=reply["etag"],
        created=time_of(reply["created"]),
        expires=time_of(reply["expires_at"]),
        tags=tags,
        native=dict(reply),
    )


def _deployment(reply: Mapping[str, Any]) -> DeploymentObservation:
    model = reply["model"] or {"name": "", "version": None, "digest": ""}
    return DeploymentObservation(
        name=reply["deployment"],
        state=_ENDPOINT_STATES.get(reply["state"], EndpointState.UNKNOWN),
        traffic=reply["traffic"],
        replicas=reply["replicas"],
        ready_replicas=reply["ready_replicas"],
        digest=model["digest"] or "",
        model=model["name"],
        version=str(model["version"] or ""),
        reason=reply["reason"],
        detail=reply["state"],
        created=time_of(reply["created"]),
        tags=dict(reply["tags"]),
        native=dict(reply),
    )
