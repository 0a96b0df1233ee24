"""Vertex AI's replies about endpoints as the portable records. Total over its words: a new one is UNKNOWN."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mlinfra.contract.endpoints import DeploymentObservation, EndpointObservation, EndpointPage
from mlinfra.contract.jobs import ID_TAG
from mlinfra.contract.states import EndpointState
from mlinfra_gcp import logs as entries
from mlinfra_gcp.labels import others
from mlinfra_gcp.observe.answers import invocation
from mlinfra_gcp.observe.captures import capture
from mlinfra_gcp.observe.health import health
from mlinfra_gcp.places import own_id
from mlinfra_gcp.render.endpoint_calls import url
from mlinfra_gcp.render.endpoint_names import (
    BEHIND,
    EXPIRES,
    NAME,
    OWNER,
    STACK,
    deployed_id,
    endpoint_name,
    identity_of,
    physical_of,
    spec_name,
)
from mlinfra_gcp.render.endpoint_state import DEPLOY, Deployed, Operation, Prepared, Standing
from mlinfra_gcp.times import time_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlinfra.contract.jobs import LogPage
    from mlinfra.contract.requests import Document
    from mlinfra.environment import Environment

__all__ = ["capture", "endpoint", "endpoint_logs", "endpoints", "health", "invocation"]

# What an operation that is under way means for its endpoint, by the vendor's message about it.
OPERATIONS = {
    "CreateEndpoint": EndpointState.CREATING,
    "DeployModel": EndpointState.UPDATING,
    "UndeployModel": EndpointState.UPDATING,
    "MutateDeployedModel": EndpointState.UPDATING,
    "UpdateEndpoint": EndpointState.UPDATING,
    "Delete": EndpointState.DELETING,
}
# What a deployment's stage means for it (DeploymentStage).
STAGES = {
    "": EndpointState.CREATING,
    "DEPLOYMENT_STAGE_UNSPECIFIED": EndpointState.UNKNOWN,
    "STARTING_DEPLOYMENT": EndpointState.CREATING,
    "PREPARING_MODEL": EndpointState.CREATING,
    "CREATING_SERVING_CLUSTER": EndpointState.CREATING,
    "ADDING_NODES_TO_CLUSTER": EndpointState.CREATING,
    "GETTING_CONTAINER_IMAGE": EndpointState.CREATING,
    "STARTING_MODEL_SERVER": EndpointState.CREATING,
    "FINISHING_UP": EndpointState.CREATING,
    "DEPLOYMENT_TERMINATED": EndpointState.FAILED,
    "SUCCESSFULLY_DEPLOYED": EndpointState.READY,
    "FAILED_TO_DEPLOY": EndpointState.FAILED,
}
GONE = "gone"  # the kit's own word: the endpoint is not there, but what was made for it is


def endpoint(replies: Mapping[str, Document | None], environment: Environment) -> EndpointObservation | None:
    """What `render.endpoints.observe` asked for.

    An endpoint that is gone while models that were made for it are not counts as being deleted: `delete` goes on.
    """
    standing = Standing.told(replies)
    native = {name: reply for name, reply in replies.items() if reply is not None}
    if standing.endpoint is not None:
        return _endpoint(standing.endpoint, standing, environment, native)
    if standing.prepared:
        return _remains(standing.prepared[0].labels.get(BEHIND, ""), native, environment)
    return None


def endpoints(reply: Mapping[str, Any], environment: Environment) -> EndpointPage:
    """ListEndpoints, which tells everything but what is under way: each is looked at."""
    found = tuple(_summary(each, environment) for each in reply.get("endpoints") or ())
    return EndpointPage(found, reply.get("nextPageToken") or None)


def endpoint_logs(reply: Mapping[str, Any], environment: Environment) -> LogPage:  # noqa: ARG001  the contract's signature
    """The servers' lines."""
    return entries.page(reply)


def state_of(pending: Operation | None) -> EndpointState:
    """An endpoint has no state of its own: it is what is being done to it."""
    return EndpointState.READY if pending is None else OPERATIONS.get(pending.kind, EndpointState.UNKNOWN)


def _endpoint(found: Document, standing: Standing, environment: Environment, native: Document) -> EndpointObservation:
    own, pending, labels = own_id(found["name"]), standing.pending, standing.labels
    return EndpointObservation(
        native_id=found["name"],
        name=labels.get(NAME) or spec_name(own, environment),
        physical_name=physical_of(own, environment),
        state=state_of(pending),
        deployments=tuple(_deployments(standing)),
        url=url(found, environment),
        detail=pending.kind if pending else "",
        etag=found.get("etag", ""),
        created=time_of(found.get("createTime")),
        expires=_end(labels.get(EXPIRES)),
        owned_by_stack=labels.get(OWNER) == STACK,
        tags={**others(labels), **({ID_TAG: labels[ID_TAG]} if ID_TAG in labels else {})},
        native=native,
    )


def _deployments(standing: Standing) -> Iterator[DeploymentObservation]:
    """Every deployment once: what is deployed, and what is on its way there or failed to get there."""
    prepared = {each.id: each for each in standing.prepared}
    for each in standing.first.values():
        yield _deployed(each, prepared.get(each.model), standing)
    for model in standing.idle:
        coming = _coming(model, standing)
        if coming is not None and model.serves.deployment not in standing.first:
            yield coming


def _deployed(found: Deployed, model: Prepared | None, standing: Standing) -> DeploymentObservation:
    """A deployed model; one that is as young as the operation that deploys it is not ready yet."""
    pending = standing.pending
    is_new = pending is not None and pending.kind == DEPLOY and _is_after(found.created, pending.created)
    status = found.body.get("status") or {}
    available = int(status.get("availableReplicaCount") or 0) if status else found.least
    serves = model.serves if model else None
    state = EndpointState.CREATING if is_new else EndpointState.READY
    return DeploymentObservation(
        name=found.deployment,
        state=state,
        traffic=found.share,
        replicas=max(found.least, available),
        ready_replicas=0 if is_new else available,
        digest=serves.digest if serves else "",
        model=serves.model if serves else "",
        version=serves.version if serves else "",
        detail=status.get("message") or state.value,
        created=found.created,
        tags=_identity(identity_of(found.body.get("displayName", ""))),
        native_id=found.id,
        native=found.body,
    )


def _coming(model: Prepared, standing: Standing) -> DeploymentObservation | None:
    """A deployment whose model is made: being deployed, or not deployed for a reason; None before either."""
    deploys = standing.deploys_of(model)
    if not deploys or (deploys[-1].done and not deploys[-1].error):
        return None
    newest, serves, identity = deploys[-1], model.serves, model.labels.get(ID_TAG, "")
    state = EndpointState.FAILED if newest.error else STAGES.get(newest.stage, EndpointState.UNKNOWN)
    title = f"{serves.deployment} {identity} {len(deploys)}"
    return DeploymentObservation(
        name=serves.deployment or model.id,
        state=state,
        digest=serves.digest,
        model=serves.model,
        version=serves.version,
        reason=newest.error,
        detail=newest.stage or state.value,
        created=newest.created,
        tags=_identity(identity),
        native_id=deployed_id(title, model.made),
    )


def _remains(physical_name: str, native: Document, environment: Environment) -> EndpointObservation:
    return EndpointObservation(
        native_id=endpoint_name(physical_name, environment),
        name=spec_name(physical_name, environment),
        physical_name=physical_name,
        state=EndpointState.DELETING,
        detail=GONE,
        reason="the endpoint is gone, its models are not",
        native=native,
    )


def _summary(found: Document, environment: Environment) -> EndpointObservation:
    own = own_id(found["name"])
    return EndpointObservation(
        native_id=found["name"],
        name=(found.get("labels") or {}).get(NAME) or spec_name(own, environment),
        physical_name=physical_of(own, environment),
        state=EndpointState.UNKNOWN,
        created=time_of(found.get("createTime")),
        complete=False,
        native={"endpoint": found},
    )


def _end(seconds: str | None) -> datetime | None:
    """The moment in a label, if it holds one."""
    return datetime.fromtimestamp(int(seconds), UTC) if seconds and seconds.isdigit() else None


def _identity(digits: str) -> dict[str, str]:
    return {ID_TAG: digits} if digits else {}


def _is_after(moment: datetime | None, other: datetime | None) -> bool:
    return moment is not None and other is not None and moment >= other
