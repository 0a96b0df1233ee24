"""Vertex AI's and Cloud Logging's replies about custom jobs. Total over the service's words, by test."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mlinfra.contract.jobs import Artefact, JobObservation, JobPage
from mlinfra.contract.manifest import read_manifest
from mlinfra.contract.runs import printed, reported
from mlinfra.contract.states import JobState
from mlinfra.errors import TemporaryError
from mlinfra_gcp import labels
from mlinfra_gcp import logs as log_entries
from mlinfra_gcp.errors import kind_of, told_by_status
from mlinfra_gcp.places import own_id
from mlinfra_gcp.times import time_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.contract.jobs import LogPage
    from mlinfra.contract.requests import Document
    from mlinfra.contract.runs import MetricPoint
    from mlinfra.environment import Environment

STATES = {  # JobState
    "JOB_STATE_QUEUED": JobState.QUEUED,
    "JOB_STATE_PENDING": JobState.QUEUED,
    "JOB_STATE_RUNNING": JobState.RUNNING,
    "JOB_STATE_UPDATING": JobState.RUNNING,
    "JOB_STATE_SUCCEEDED": JobState.SUCCEEDED,
    "JOB_STATE_PARTIALLY_SUCCEEDED": JobState.SUCCEEDED,
    "JOB_STATE_FAILED": JobState.FAILED,
    "JOB_STATE_CANCELLING": JobState.STOPPING,
    "JOB_STATE_CANCELLED": JobState.STOPPED,
    "JOB_STATE_EXPIRED": JobState.TIMED_OUT,
    "JOB_STATE_PAUSED": JobState.PAUSED,
    "JOB_STATE_UNSPECIFIED": JobState.UNKNOWN,
}
PIPELINE_STATES = {  # PipelineState: the same words, as pipelines and their schedules have them
    "PIPELINE_STATE_QUEUED": JobState.QUEUED,
    "PIPELINE_STATE_PENDING": JobState.QUEUED,
    "PIPELINE_STATE_RUNNING": JobState.RUNNING,
    "PIPELINE_STATE_SUCCEEDED": JobState.SUCCEEDED,
    "PIPELINE_STATE_FAILED": JobState.FAILED,
    "PIPELINE_STATE_CANCELLING": JobState.STOPPING,
    "PIPELINE_STATE_CANCELLED": JobState.STOPPED,
    "PIPELINE_STATE_PAUSED": JobState.PAUSED,
    "PIPELINE_STATE_UNSPECIFIED": JobState.UNKNOWN,
}
_ENDED_BY_FORCE = {JobState.FAILED, JobState.STOPPED}
_DEADLINE = "DEADLINE_EXCEEDED"
_TIME_OVER = re.compile(r"exceeded .{0,40}(?:time|duration|timeout)|timed out|reached .{0,20}timeout", re.IGNORECASE)
_EXIT_CODE = re.compile(r"non-zero status of (\d+)|exit(?:ed)?(?: with)?(?: code| status)?:? (\d+)", re.IGNORECASE)


def job(reply: Mapping[str, Any], environment: Environment) -> JobObservation:  # noqa: ARG001  the contract's signature
    """A CustomJob, however it was asked for."""
    marks = dict(reply.get("labels", {}))
    manifest = _manifest(reply)
    error = reply.get("error") or {}
    state = _state(reply, error)
    code = _EXIT_CODE.search(error.get("message", ""))
    pools = _pools(reply)
    return JobObservation(
        native_id=own_id(reply["name"]),
        name=reply.get("displayName", ""),
        state=state,
        detail=reply.get("state", "accepted"),
        id=marks.get(labels.ID, ""),
        attempt=_number(marks.get(labels.ATTEMPT, "")),
        reason=error.get("message", ""),
        exit_code=int(code[1] or code[2]) if code else None,
        interrupted=state is JobState.FAILED and code is None and _is_the_platforms(error),
        created=time_of(reply.get("createTime")),
        started=time_of(reply.get("startTime")),
        ended=time_of(reply.get("endTime")) or (time_of(reply.get("updateTime")) if state.terminal else None),
        outputs={name: _artefact(about) for name, about in _outputs(manifest, state)},
        result=_artefact(manifest["result"]) if "uri" in manifest.get("result", {}) else None,
        tags=labels.others(marks),
        machine=pools[0].get("machineSpec", {}).get("machineType", "") if pools else "",
        native=dict(reply),
    )


def jobs(reply: Mapping[str, Any], environment: Environment) -> JobPage:
    """ListCustomJobs; jobs of other tools have no id of ours."""
    found = (job(each, environment) for each in reply.get("customJobs", ()))
    return JobPage(tuple(each for each in found if each.id), reply.get("nextPageToken") or None)


def logs(reply: Mapping[str, Any], environment: Environment) -> LogPage:  # noqa: ARG001  the contract's signature
    """A reading of Cloud Logging."""
    return log_entries.page(reply)


def metrics(replies: Mapping[str, Document | None], environment: Environment) -> tuple[MetricPoint, ...]:
    """The runner's report where it is there, else what was printed so far."""
    report = replies.get("report")
    if report is not None:
        return reported(report["text"])
    reply = replies.get("logs")
    return printed(logs(reply, environment).lines) if reply else ()


def _state(reply: Mapping[str, Any], error: Mapping[str, Any]) -> JobState:
    """A job that ran too long ends as failed or cancelled as well, and says so in its error."""
    state = STATES.get(reply.get("state", "JOB_STATE_QUEUED"), JobState.UNKNOWN)
    told = told_by_status(error) if error else None
    if state in _ENDED_BY_FORCE and told and (told.code == _DEADLINE or _TIME_OVER.search(told.message)):
        return JobState.TIMED_OUT
    return state


def _is_the_platforms(error: Mapping[str, Any]) -> bool:
    """Whether the platform ended the job: no capacity, a quota, a fault of its own."""
    return bool(error) and issubclass(kind_of(told_by_status(error)), TemporaryError)


def _manifest(reply: Mapping[str, Any]) -> Document:
    """What the runner was told; the service keeps it with the job. Jobs of other tools have none."""
    pools = _pools(reply)
    container = pools[0].get("containerSpec", {}) if pools else {}
    variables = {each.get("name"): each.get("value", "") for each in container.get("env", ())}
    return read_manifest(variables)


def _pools(reply: Mapping[str, Any]) -> list[Document]:
    found: list[Document] = reply.get("jobSpec", {}).get("workerPoolSpecs", [])
    return found


def _outputs(manifest: Document, state: JobState) -> list[tuple[str, Document]]:
    """The runner takes outputs away when the command has ended well, or was stopped."""
    return list(manifest.get("outputs", {}).items()) if state.terminal and state is not JobState.FAILED else []


def _artefact(about: Mapping[str, Any]) -> Artefact:
    return Artefact(about["uri"], is_folder=True)


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0
