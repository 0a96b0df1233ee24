"""The host's replies as the portable records. Total over the host's words: one that is not known is UNKNOWN."""

from __future__ import annotations

import base64
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mlinfra.contract.endpoints import DeploymentObservation, EndpointObservation, EndpointPage, Invocation
from mlinfra.contract.health import Health
from mlinfra.contract.jobs import ATTEMPT_TAG, ID_TAG, Artefact, JobObservation, JobPage, LogLine, LogPage
from mlinfra.contract.models import ModelPage, VersionObservation, VersionPage
from mlinfra.contract.runs import MetricPoint
from mlinfra.contract.states import Approval, EndpointState, JobState, VersionState
from mlinfra_local.config import EXPIRED, NAME_TAG, store_uri

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.contract.requests import Document
    from mlinfra.environment import Environment

_BUCKET = "artefacts"
_ENDPOINT_STATES = {
    "creating": EndpointState.CREATING,
    "ready": EndpointState.READY,
    "updating": EndpointState.UPDATING,
    "failed": EndpointState.FAILED,
    "deleting": EndpointState.DELETING,
    EXPIRED: EndpointState.FAILED,
}


def job(reply: Mapping[str, Any], environment: Environment) -> JobObservation:
    """DescribeJob, CreateJob, or an item of ListJobs."""
    tags = dict(reply["tags"])
    work_id, attempt = tags.pop(ID_TAG, ""), int(tags.pop(ATTEMPT_TAG, 0))
    result = reply.get("result") or {}
    base = f"jobs/{work_id}/{attempt}"
    return JobObservation(
        native_id=reply["name"],
        name=reply["name"],
        state=_state(JobState, reply["state"], JobState.UNKNOWN),
        detail=reply["detail"] or reply["state"],
        id=work_id,
        attempt=attempt,
        reason=reply["reason"],
        exit_code=reply["exit_code"],
        created=_time(reply["created"]),
        started=_time(reply["started"]),
        ended=_time(reply["ended"]),
        metrics={name: _number(value) for name, value in result.get("metrics", {}).items()},
        outputs={
            name: Artefact(
                store_uri(environment, _BUCKET, f"{base}/{name}"), content["digest"], content["size"], is_folder=True
            )
            for name, content in result.get("outputs", {}).items()
        },
        result=Artefact(store_uri(environment, _BUCKET, f"{base}/.mlinfra"), is_folder=True),
        tags=tags,
        machine=reply["interpreter"]["path"],
        native=dict(reply),
    )


def jobs(reply: Mapping[str, Any], environment: Environment) -> JobPage:
    """ListJobs, without what other tools run on this host."""
    found = (job(each, environment) for each in reply["jobs"])
    return JobPage(tuple(each for each in found if each.id), reply["next_token"])


def logs(reply: Mapping[str, Any], environment: Environment) -> LogPage:  # noqa: ARG001  the contract's signature
    """GetJobLogs."""
    return LogPage(tuple(_line(line) for line in reply["lines"]), reply["token"])


def metrics(replies: Mapping[str, Document | None], environment: Environment) -> tuple[MetricPoint, ...]:  # noqa: ARG001  the contract's signature
    """GetJobMetrics."""
    reply = replies["metrics"] or {"metrics": []}
    return tuple(
        MetricPoint(point["name"], float(point["value"]), point["step"], _moment(point["time"]))
        for point in reply["metrics"]
    )


def version(reply: Mapping[str, Any], environment: Environment) -> VersionObservation:  # noqa: ARG001  the contract's signature
    """DescribeModelVersion, CreateModelVersion, or an item of ListModelVersions."""
    return VersionObservation(
        native_id=f"{reply['model']}:{reply['version']}",
        model=reply["model"],
        version=str(reply["version"]),
        state=VersionState.READY,
        digest=reply["digest"],
        artefact=Artefact(reply["artifact"]["uri"], reply["digest"], reply["artifact"]["size"], is_folder=True),
        aliases=tuple(sorted(reply["aliases"])),
        stage=reply["stage"],
        approval=_state(Approval, reply["approval_status"], Approval.PENDING),
        owner=reply["owner"],
        created=_time(reply["created"]),
        lineage=dict(reply["lineage"]),
        metrics=dict(reply["metrics"]),
        tags=dict(reply["tags"]),
        native=dict(reply),
    )


def versions(reply: Mapping[str, Any], environment: Environment) -> VersionPage:
    """ListModelVersions."""
    return VersionPage(tuple(version(each, environment) for each in reply["versions"]), reply["next_token"])


def models(reply: Mapping[str, Any], environment: Environment) -> ModelPage:  # noqa: ARG001  the contract's signature
    """ListModels."""
    return ModelPage(tuple(each["model"] for each in reply["models"]), reply["next_token"])


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
        created=_time(reply["created"]),
        expires=_time(reply["expires_at"]),
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
        created=_time(reply["created"]),
        tags=dict(reply["tags"]),
        native=dict(reply),
    )


def _line(line: Mapping[str, Any]) -> LogLine:
    return LogLine(datetime.fromisoformat(line["time"]), line["source"], line["text"])


def _number(value: float | None) -> float:
    """JSON has no word for what is not finite; the runner writes null."""
    return math.nan if value is None else float(value)


def _moment(seconds: float | None) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


def _state(words: Any, word: str, unknown: Any) -> Any:
    try:
        return words(word)
    except ValueError:
        return unknown


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
