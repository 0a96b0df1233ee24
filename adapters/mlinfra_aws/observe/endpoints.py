"""SageMaker's replies about endpoints as the portable records. Total over its words: a new one is UNKNOWN."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any

from mlinfra.contract.endpoints import Deferred, DeploymentObservation, EndpointObservation, EndpointPage, Invocation
from mlinfra.contract.states import EndpointState
from mlinfra_aws import logs as streams
from mlinfra_aws.config import tag_map
from mlinfra_aws.observe.answers import whole
from mlinfra_aws.observe.captures import capture
from mlinfra_aws.observe.health import health
from mlinfra_aws.observe.words import time_of
from mlinfra_aws.render.endpoint_calls import url
from mlinfra_aws.render.endpoint_names import EXPIRES_TAG, NAME_TAG, OWNER_TAG, STACK, VARIANT_TAG, owner_of, spec_name
from mlinfra_aws.render.endpoint_scaling import variant_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.contract.jobs import LogPage
    from mlinfra.contract.requests import Document
    from mlinfra.environment import Environment

__all__ = ["capture", "deferred", "endpoint", "endpoint_logs", "endpoints", "failure", "health", "invocation"]

STATES = {
    "Creating": EndpointState.CREATING,
    "InService": EndpointState.READY,
    "Updating": EndpointState.UPDATING,
    "SystemUpdating": EndpointState.UPDATING,
    "RollingBack": EndpointState.ROLLING_BACK,
    "Failed": EndpointState.FAILED,
    "OutOfService": EndpointState.FAILED,
    "UpdateRollbackFailed": EndpointState.FAILED,
    "Deleting": EndpointState.DELETING,
}
GONE = "gone"  # the kit's own word: the endpoint is not there, but what was made for it is
_SERVING = {EndpointState.READY, EndpointState.UPDATING, EndpointState.ROLLING_BACK}
_WHOLE = 100
_OK, _REFUSED, _FAILED = 200, 400, 500
_TOLD = re.compile(r'error \((?P<status>[45]\d\d)\) from .{0,200}? with message "(?P<message>.*)"', re.DOTALL)


def endpoint(replies: Mapping[str, Document | None], environment: Environment) -> EndpointObservation | None:
    """What `render.endpoints.observe` asked for.

    An endpoint that is gone while what was made for it is not counts as being deleted: `delete` goes on.
    """
    found = replies["endpoint"]
    configs = (replies["configs"] or {}).get("EndpointConfigs", [])
    models = (replies["models"] or {}).get("Models", [])
    alarms = (replies["alarms"] or {}).get("MetricAlarms", [])
    left: Document = {
        "configs": {each["EndpointConfigName"]: each["CreationTime"] for each in configs},
        "models": [each["ModelName"] for each in models],
        "alarms": {each["AlarmName"]: each.get("Threshold") for each in alarms},
    }
    if found is not None:
        return _endpoint(found, replies, left, environment)
    names = [*left["configs"], *left["models"], *left["alarms"]]
    return _remains(owner_of(names[0]), left, environment) if names else None


def endpoints(reply: Mapping[str, Any], environment: Environment) -> EndpointPage:
    """ListEndpoints, which tells little: each must be looked at. A name that only holds the digits is not ours."""
    ours = [each for each in reply["Endpoints"] if each["EndpointName"].endswith(f"-{environment.suffix}")]
    return EndpointPage(tuple(_summary(each, environment) for each in ours), reply.get("NextToken"))


def invocation(reply: Mapping[str, Any], environment: Environment) -> Invocation:  # noqa: ARG001  the contract's signature
    """InvokeEndpoint's answer, or the model server's own error, which the client took out of its envelope."""
    status, body = int(reply["StatusCode"]), base64.b64decode(reply["Body"])
    if status != _OK:
        body = whole(body.decode(errors="replace")).encode()
    content_type = reply.get("ContentType") or "application/json"
    return Invocation(status, body, content_type, reply.get("InvokedProductionVariant", ""))


def deferred(reply: Mapping[str, Any], environment: Environment) -> Deferred:  # noqa: ARG001  the contract's signature
    """InvokeEndpointAsync's answer."""
    return Deferred(reply.get("OutputLocation") or "", reply.get("FailureLocation") or "")


def failure(content: bytes, environment: Environment) -> Invocation:  # noqa: ARG001  the contract's signature
    """What lies where a failure is told: the model server's error, or SageMaker's words around it with its status.

    The API descriptions do not say which; the words are those of ModelError.
    """
    text = content.decode(errors="replace")
    told = _TOLD.search(text)
    message = told["message"] if told else text
    refused = '"rows":' in message
    status = int(told["status"]) if told else (_REFUSED if refused else _FAILED)
    return Invocation(status, whole(message).encode())


def endpoint_logs(reply: Mapping[str, Any], environment: Environment) -> LogPage:  # noqa: ARG001  the contract's signature
    """The servers' lines."""
    return streams.page(reply)


def percents(weights: Mapping[str, float]) -> dict[str, int]:
    """Weights as whole percents that sum to 100: exactly the weights where these do, else by largest remainder."""
    total = sum(weights.values())
    if not total:
        return dict.fromkeys(weights, 0)
    exact = {name: weight * _WHOLE / total for name, weight in weights.items()}
    shares = {name: int(share + 1e-6) for name, share in exact.items()}
    by_remainder = sorted(exact, key=lambda name: shares[name] - exact[name])
    for name in by_remainder[: _WHOLE - sum(shares.values())]:
        shares[name] += 1
    return shares


def _endpoint(
    found: Document, replies: Mapping[str, Document | None], left: Document, environment: Environment
) -> EndpointObservation:
    name, tags = found["EndpointName"], tag_map((replies["tags"] or {}).get("Tags"))
    config = replies["config"] or {}
    serves = {
        key.removeprefix(VARIANT_TAG): value
        for key, value in tag_map((replies["serves"] or {}).get("Tags")).items()
        if key.startswith(VARIANT_TAG)
    }
    bodies = {each["VariantName"]: each for each in config.get("ProductionVariants", [])}
    native = {
        **left,
        **_scaling(replies),
        "arn": found["EndpointArn"],
        "status": found["EndpointStatus"],
        "reason": found.get("FailureReason", ""),
        "config": found.get("EndpointConfigName", ""),
        "modified": found["LastModifiedTime"],
        "capture": config.get("DataCaptureConfig"),
        "asynchronous": config.get("AsyncInferenceConfig"),
        "variants": bodies,
        "serves": serves,
        "tags": tags,
    }
    return EndpointObservation(
        native_id=name,
        name=tags.get(NAME_TAG) or spec_name(name, environment),
        physical_name=name,
        state=_state(found),
        deployments=_deployments(found, bodies, serves),
        url=url(name, environment, asynchronous="AsyncInferenceConfig" in config),
        reason=found.get("FailureReason", ""),
        detail=found["EndpointStatus"],
        etag=found.get("EndpointConfigName", ""),
        created=time_of(found["CreationTime"]),
        expires=time_of(tags.get(EXPIRES_TAG)),
        owned_by_stack=tags.get(OWNER_TAG) == STACK,
        asynchronous="AsyncInferenceConfig" in config,
        tags={key: value for key, value in tags.items() if key not in {NAME_TAG, EXPIRES_TAG, OWNER_TAG}},
        native=native,
    )


def _deployments(
    found: Document, bodies: Mapping[str, Document], serves: Mapping[str, str]
) -> tuple[DeploymentObservation, ...]:
    """A deployment for each variant of the configuration, and for those that are on their way in."""
    there = {each["VariantName"]: each for each in found.get("ProductionVariants", [])}
    pending = (found.get("PendingDeploymentSummary") or {}).get("ProductionVariants", [])
    coming = {each["VariantName"]: each for each in pending if each["VariantName"] not in bodies}
    state = _state(found)
    shares = percents({name: float(there.get(name, {}).get("CurrentWeight") or 0) for name in bodies})
    own = EndpointState.READY if state in _SERVING else state
    return (
        *(
            _deployment({**body, **there.get(name, {})}, serves.get(name, ""), own, shares[name])
            for name, body in bodies.items()
        ),
        *(_deployment(each, "", EndpointState.CREATING, 0) for each in coming.values()),
    )


def _deployment(variant: Document, tag: str, state: EndpointState, share: int) -> DeploymentObservation:
    """A variant as the configuration and the endpoint tell it together."""
    name = variant["VariantName"]
    deployment, model, digest = tag.split(" ") if tag.count(" ") == 2 else (name, "", "")  # noqa: PLR2004  see serves_tag
    statuses = [each.get("Status", "") for each in variant.get("VariantStatus") or ()]
    return DeploymentObservation(
        name=deployment,
        state=state,
        traffic=share,
        replicas=int(variant.get("DesiredInstanceCount") or variant.get("InitialInstanceCount") or 0),
        ready_replicas=int(variant.get("CurrentInstanceCount") or 0) if state is EndpointState.READY else 0,
        digest=digest,
        model=model.partition(":")[0],
        version=model.partition(":")[2],
        detail=", ".join(statuses) or state.value,
        native_id=name,
        native=variant,
    )


def _scaling(replies: Mapping[str, Document | None]) -> Document:
    targets = (replies["targets"] or {}).get("ScalableTargets", [])
    policies = (replies["policies"] or {}).get("ScalingPolicies", [])
    return {
        "targets": {variant_of(each["ResourceId"]): [each["MinCapacity"], each["MaxCapacity"]] for each in targets},
        "policies": {
            variant_of(each["ResourceId"]): each["TargetTrackingScalingPolicyConfiguration"]["TargetValue"]
            for each in policies
            if "TargetTrackingScalingPolicyConfiguration" in each
        },
    }


def _remains(name: str, left: Document, environment: Environment) -> EndpointObservation:
    return EndpointObservation(
        native_id=name,
        name=spec_name(name, environment),
        physical_name=name,
        state=EndpointState.DELETING,
        detail=GONE,
        reason="the endpoint is gone, what was made for it is not",
        native=left,
    )


def _summary(found: Document, environment: Environment) -> EndpointObservation:
    name = found["EndpointName"]
    return EndpointObservation(
        native_id=name,
        name=spec_name(name, environment),
        physical_name=name,
        state=_state(found),
        detail=found["EndpointStatus"],
        created=time_of(found["CreationTime"]),
        complete=False,
        native=dict(found),
    )


def _state(found: Document) -> EndpointState:
    return STATES.get(found["EndpointStatus"], EndpointState.UNKNOWN)
