"""Azure Machine Learning's and run history's replies about command jobs. Total over the service's words, by test."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mlinfra.contract.jobs import ATTEMPT_TAG, ID_TAG, Artefact, JobObservation, JobPage
from mlinfra.contract.manifest import read_manifest
from mlinfra.contract.runs import printed, reported
from mlinfra.contract.states import JobState
from mlinfra.errors import TemporaryError
from mlinfra_azure import logs as log_files
from mlinfra_azure.errors import kind_of, told
from mlinfra_azure.paging import next_page
from mlinfra_azure.render.containers import PLACE
from mlinfra_azure.render.jobs import ENVIRONMENT_TAG
from mlinfra_azure.times import time_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from mlinfra.contract.jobs import LogPage
    from mlinfra.contract.requests import Document
    from mlinfra.contract.runs import MetricPoint
    from mlinfra.environment import Environment

STATES = {  # JobStatus
    "NotStarted": JobState.QUEUED,
    "Queued": JobState.QUEUED,
    "Starting": JobState.STARTING,
    "Provisioning": JobState.STARTING,
    "Preparing": JobState.STARTING,
    "Running": JobState.RUNNING,
    "Finalizing": JobState.RUNNING,
    "NotResponding": JobState.RUNNING,
    "CancelRequested": JobState.STOPPING,
    "Completed": JobState.SUCCEEDED,
    "Failed": JobState.FAILED,
    "Canceled": JobState.STOPPED,
    "Paused": JobState.PAUSED,
    "Unknown": JobState.UNKNOWN,
}
_ENDED_BY_FORCE = {JobState.FAILED, JobState.STOPPED}
_TIME_OVER = re.compile(
    r"exceeded .{0,60}(?:time|duration|limit)|(?:job|run) timed out|max(?:imum)? (?:run )?duration", re.IGNORECASE
)
_EXIT_CODE = re.compile(r"(?:exit(?:ed)?(?: with)?(?: status)?(?: code)?|status code):? (\d+)", re.IGNORECASE)
_THERE = 200  # how a PUT answers where something was there before


def job(reply: Mapping[str, Any], environment: Environment) -> JobObservation:  # noqa: ARG001  the contract's signature
    """A job, however it was asked for."""
    about: Mapping[str, Any] = reply.get("properties") or {}
    error = reply.get("runError") or {}
    known: Mapping[str, str] = about.get("properties") or {}
    tags = dict(about.get("tags") or {})
    marks = {name: tags.pop(name, known.get(name, "")) for name in (ID_TAG, ATTEMPT_TAG, ENVIRONMENT_TAG)}
    manifest = _manifest(about)
    state = _state(about, error)
    message = str(error.get("message", ""))
    code = _EXIT_CODE.search(message)
    return JobObservation(
        native_id=reply["name"],
        name=reply["name"],
        state=state,
        detail=str(about.get("status") or "accepted"),
        id=marks[ID_TAG],
        attempt=int(marks[ATTEMPT_TAG]) if marks[ATTEMPT_TAG].isdigit() else 0,
        reason=message,
        exit_code=int(code[1]) if code else None,
        interrupted=state is JobState.FAILED and code is None and _is_the_platforms(error),
        created=time_of((reply.get("systemData") or {}).get("createdAt")),
        started=time_of(reply.get("startTimeUtc") or known.get("StartTimeUtc")),
        ended=_ended(reply, known, state),
        outputs={name: _artefact(about, each) for name, each in _outputs(manifest, state)},
        result=Artefact(manifest["result"]["uri"], is_folder=True) if "uri" in manifest.get("result", {}) else None,
        tags=tags,
        machine=str((about.get("resources") or {}).get("instanceType") or _own_name(about.get("computeId"))),
        existed=reply.get("httpStatus") == _THERE,
        native=dict(reply),
    )


def jobs(reply: Mapping[str, Any], environment: Environment) -> JobPage:
    """A listing; jobs of other tools have no id of ours."""
    found = (job(each, environment) for each in reply.get("value") or ())
    return JobPage(tuple(each for each in found if each.id), next_page(reply))


def logs(reply: Mapping[str, Any], environment: Environment) -> LogPage:  # noqa: ARG001  the contract's signature
    """A reading of log files."""
    return log_files.page(reply)


def metrics(replies: Mapping[str, Document | None], environment: Environment) -> tuple[MetricPoint, ...]:
    """The runner's report where it is there, else what was printed so far."""
    report = replies.get("report")
    if report is not None:
        return reported(report["text"])
    reply = replies.get("logs")
    return printed(logs(reply, environment).lines) if reply else ()


def _state(about: Mapping[str, Any], error: Mapping[str, Any]) -> JobState:
    """A job that ran too long ends as canceled or failed as well, and says so in its error."""
    state = STATES.get(str(about.get("status") or "NotStarted"), JobState.UNKNOWN)
    message = str(error.get("message", ""))
    if state in _ENDED_BY_FORCE and not _EXIT_CODE.search(message) and _TIME_OVER.search(message):
        return JobState.TIMED_OUT
    return state


def _is_the_platforms(error: Mapping[str, Any]) -> bool:
    """Whether the platform ended the job: no capacity, a quota, a fault of its own."""
    return bool(error) and issubclass(kind_of(told(0, {"error": dict(error)})), TemporaryError)


def _ended(reply: Mapping[str, Any], known: Mapping[str, str], state: JobState) -> datetime | None:
    if not state.terminal:
        return None
    changed = (reply.get("systemData") or {}).get("lastModifiedAt")
    return time_of(reply.get("endTimeUtc") or known.get("EndTimeUtc") or changed)


def _manifest(about: Mapping[str, Any]) -> Document:
    """What the runner was told; the service keeps it with the job. Jobs of other tools have none."""
    variables = about.get("environmentVariables") or {}
    return read_manifest(variables)


def _outputs(manifest: Document, state: JobState) -> list[tuple[str, str]]:
    """Output -> its name on the platform. The service takes outputs away when the command has ended well."""
    if state is not JobState.SUCCEEDED:
        return []
    return [(name, each["variable"].removeprefix(PLACE)) for name, each in manifest.get("outputs", {}).items()]


def _artefact(about: Mapping[str, Any], name: str) -> Artefact:
    output = (about.get("outputs") or {}).get(name) or {}
    return Artefact(str(output.get("uri", "")).rstrip("/"), is_folder=True)


def _own_name(native_id: str | None) -> str:
    return (native_id or "").rpartition("/")[2]
