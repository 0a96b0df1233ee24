"""Azure ML's replies about endpoints as the portable records. Total over its words: a new one is UNKNOWN."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.contract.endpoints import DeploymentObservation, EndpointObservation, EndpointPage
from mlinfra.contract.states import EndpointState
from mlinfra_azure.observe.answers import invocation
from mlinfra_azure.observe.captures import capture
from mlinfra_azure.observe.health import health
from mlinfra_azure.paging import next_page
from mlinfra_azure.places import resource
from mlinfra_azure.render import endpoint_logs as servers
from mlinfra_azure.render.endpoint_names import (
    ENVIRONMENT_TAG,
    EXPIRES_TAG,
    NAME_TAG,
    OWNER_TAG,
    SERVES_TAG,
    STACK,
    is_ours,
    served,
    spec_name,
)
from mlinfra_azure.render.endpoint_state import ENDPOINT_STATES, Standing
from mlinfra_azure.times import time_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from mlinfra.contract.jobs import LogPage
    from mlinfra.contract.requests import Document
    from mlinfra.environment import Environment
    from mlinfra_azure.render.endpoint_state import Deployed

__all__ = ["capture", "endpoint", "endpoint_logs", "endpoints", "health", "invocation"]

GONE = "gone"  # the kit's own word: the endpoint is not there, but what was made for it is
_OWN = {NAME_TAG, ENVIRONMENT_TAG, EXPIRES_TAG, OWNER_TAG, SERVES_TAG}


def endpoint(replies: Mapping[str, Document | None], environment: Environment) -> EndpointObservation | None:
    """What `render.endpoints.observe` asked for.

    An endpoint that is gone while settings that scale its deployments are not counts as being deleted: `delete` goes
    on.
    """
    standing = Standing.told(replies)
    native = {name: reply for name, reply in replies.items() if reply is not None}
    if standing.endpoint is not None:
        return _endpoint(standing.endpoint, standing, environment, native)
    if standing.settings:
        return _remains(standing.physical_name, native, environment)
    return None


def endpoints(reply: Mapping[str, Any], environment: Environment) -> EndpointPage:
    """OnlineEndpoints_List, which tells nothing of deployments: each is looked at."""
    ours = [each for each in reply.get("value") or () if is_ours(each["name"], environment)]
    return EndpointPage(tuple(_summary(each, environment) for each in ours), next_page(reply))


def endpoint_logs(reply: Mapping[str, Any], environment: Environment) -> LogPage:  # noqa: ARG001  the contract's signature
    """The servers' lines."""
    return servers.page(reply)


def _endpoint(found: Document, standing: Standing, environment: Environment, native: Document) -> EndpointObservation:
    name, tags = found["name"], standing.tags
    return EndpointObservation(
        native_id=found.get("id") or resource(environment, "onlineEndpoints", name),
        name=spec_name(name, environment),
        physical_name=name,
        state=_state(standing.word),
        deployments=tuple(map(_deployment, standing.deployed)),
        url=found["properties"].get("scoringUri") or "",
        detail=standing.word,
        etag=found.get("etag") or "",
        created=_created(found),
        expires=time_of(tags.get(EXPIRES_TAG)),
        owned_by_stack=tags.get(OWNER_TAG) == STACK,
        tags={key: value for key, value in tags.items() if key not in _OWN},
        native=native,
    )


def _deployment(found: Deployed) -> DeploymentObservation:
    """A deployment. How many of its instances are ready is told of none: all of them, or none."""
    tags = found.body.get("tags") or {}
    serves = served(tags.get(SERVES_TAG, ""))
    is_ready = found.state in {EndpointState.READY, EndpointState.UPDATING}
    return DeploymentObservation(
        name=found.name,
        state=found.state,
        traffic=found.share,
        replicas=found.capacity,
        ready_replicas=found.capacity if is_ready else 0,
        digest=serves.digest,
        model=serves.model,
        version=serves.version,
        detail=found.word,
        created=_created(found.body),
        tags={key: value for key, value in tags.items() if key not in _OWN},
        native=found.body,
    )


def _remains(name: str, native: Document, environment: Environment) -> EndpointObservation:
    return EndpointObservation(
        native_id=resource(environment, "onlineEndpoints", name),
        name=spec_name(name, environment),
        physical_name=name,
        state=EndpointState.DELETING,
        detail=GONE,
        reason="the endpoint is gone, the settings that scaled it are not",
        native=native,
    )


def _summary(found: Document, environment: Environment) -> EndpointObservation:
    word = str(found["properties"].get("provisioningState") or "")
    return EndpointObservation(
        native_id=found.get("id") or resource(environment, "onlineEndpoints", found["name"]),
        name=spec_name(found["name"], environment),
        physical_name=found["name"],
        state=_state(word),
        detail=word,
        created=_created(found),
        complete=False,
        native={"endpoint": found},
    )


def _state(word: str) -> EndpointState:
    return ENDPOINT_STATES.get(word, EndpointState.UNKNOWN)


def _created(found: Mapping[str, Any]) -> datetime | None:
    return time_of((found.get("systemData") or {}).get("createdAt"))
