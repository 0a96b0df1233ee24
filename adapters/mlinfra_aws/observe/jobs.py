"""SageMaker's and CloudWatch's replies about training jobs. Total over the service's words, by test."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mlinfra.contract.jobs import ATTEMPT_TAG, ID_TAG, Artefact, JobObservation, JobPage
from mlinfra.contract.manifest import read_manifest
from mlinfra.contract.runs import printed, reported
from mlinfra.contract.states import JobState
from mlinfra_aws import logs as log_streams
from mlinfra_aws.config import tag_map
from mlinfra_aws.observe.words import time_of
from mlinfra_aws.render.containers import DATA, MODEL
from mlinfra_aws.render.jobs import ENVIRONMENT_TAG

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from mlinfra.contract.jobs import LogPage
    from mlinfra.contract.requests import Document
    from mlinfra.contract.runs import MetricPoint
    from mlinfra.environment import Environment

# TrainingJobStatus; where it says no more than that the job is under way, SecondaryStatus.
STATES = {
    "Completed": JobState.SUCCEEDED,
    "Failed": JobState.FAILED,
    "Stopping": JobState.STOPPING,
    "Stopped": JobState.STOPPED,
    "Deleting": JobState.DELETING,
}
STATES_UNDER_WAY = {
    "Pending": JobState.QUEUED,
    "Interrupted": JobState.QUEUED,  # a spot machine was taken back; it starts again with the next
    "Starting": JobState.STARTING,
    "LaunchingMLInstances": JobState.STARTING,
    "PreparingTrainingStack": JobState.STARTING,
    "Downloading": JobState.STARTING,
    "DownloadingTrainingImage": JobState.STARTING,
    "Restarting": JobState.STARTING,
    "Training": JobState.RUNNING,
    "Uploading": JobState.RUNNING,
    "Updating": JobState.RUNNING,
    "Stopping": JobState.STOPPING,
    # The end, a moment before TrainingJobStatus tells it:
    "Completed": JobState.RUNNING,
    "Failed": JobState.RUNNING,
    "Stopped": JobState.STOPPING,
    "MaxRuntimeExceeded": JobState.STOPPING,
    "MaxWaitTimeExceeded": JobState.STOPPING,
}
TIME_OUTS = {"MaxRuntimeExceeded", "MaxWaitTimeExceeded"}
_UNDER_WAY = "InProgress"
_INTERRUPTIONS = ("CapacityError", "InternalServerError")  # how FailureReason begins when the platform is at fault
_EXIT_CODE = re.compile(r"exit code: (\d+)", re.IGNORECASE)
_RESULT = f"{DATA}/.mlinfra"  # where the runner leaves its report


def job(reply: Mapping[str, Any], environment: Environment) -> JobObservation:  # noqa: ARG001  the contract's signature
    """DescribeTrainingJob, a record of Search, or CreateTrainingJob, which tells the name alone."""
    name = reply.get("TrainingJobName") or reply["TrainingJobArn"].rpartition("/")[2]
    manifest = _manifest(reply)
    tags = tag_map(reply.get("Tags")) or dict(manifest.get("tags", {}))
    work_id, _, attempt = manifest.get("run_id", "").rpartition("-")
    work_id, attempt = tags.pop(ID_TAG, work_id), tags.pop(ATTEMPT_TAG, attempt)
    tags.pop(ENVIRONMENT_TAG, None)
    state = _state(reply)
    reason = reply.get("FailureReason", "")
    exit_code = _EXIT_CODE.search(reason)
    machines = reply.get("ResourceConfig", {})
    return JobObservation(
        native_id=name,
        name=name,
        state=state,
        detail=_detail(reply),
        id=work_id,
        attempt=int(attempt or 0),
        reason=reason,
        exit_code=int(exit_code[1]) if exit_code else None,
        interrupted=_interrupted(state, reply),
        created=time_of(reply.get("CreationTime")),
        started=time_of(reply.get("TrainingStartTime")),
        ended=time_of(reply.get("TrainingEndTime")) or _ended(state, reply),
        metrics={each["MetricName"]: each["Value"] for each in reply.get("FinalMetricDataList") or ()},
        outputs={output: _artefact(reply, name, about["path"]) for output, about in _outputs(manifest, state)},
        result=_artefact(reply, name, _RESULT) if "OutputDataConfig" in reply else None,
        tags=tags,
        machine=machines.get("SelectedInstanceType") or machines.get("InstanceType", ""),
        native=dict(reply),
    )


def jobs(reply: Mapping[str, Any], environment: Environment) -> JobPage:
    """Search, without what is being deleted."""
    found = (job(each["TrainingJob"], environment) for each in reply.get("Results", ()) if "TrainingJob" in each)
    kept = tuple(each for each in found if each.id and each.state is not JobState.DELETING)
    return JobPage(kept, reply.get("NextToken") or None)


def logs(reply: Mapping[str, Any], environment: Environment) -> LogPage:  # noqa: ARG001  the contract's signature
    """FilterLogEvents."""
    return log_streams.page(reply)


def metrics(replies: Mapping[str, Document | None], environment: Environment) -> tuple[MetricPoint, ...]:
    """The runner's report where it is there, else what was printed so far."""
    report = replies.get("report")
    if report is not None:
        return reported(report["text"])
    reply = replies.get("logs")
    return printed(logs(reply, environment).lines) if reply else ()


def _state(reply: Mapping[str, Any]) -> JobState:
    status, secondary = reply.get("TrainingJobStatus"), reply.get("SecondaryStatus", "")
    if status is None:
        return JobState.QUEUED  # CreateTrainingJob accepted it
    if status == _UNDER_WAY:
        return STATES_UNDER_WAY.get(secondary, JobState.UNKNOWN)
    if status == "Stopped" and secondary in TIME_OUTS:
        return JobState.TIMED_OUT
    return STATES.get(status, JobState.UNKNOWN)


def _detail(reply: Mapping[str, Any]) -> str:
    words = (reply.get("TrainingJobStatus", ""), reply.get("SecondaryStatus", ""))
    return "/".join(dict.fromkeys(filter(None, words))) or "accepted"


def _interrupted(state: JobState, reply: Mapping[str, Any]) -> bool:
    """Whether the platform ended the job: no capacity, a fault of its own, spot machines that never came."""
    if state is JobState.FAILED:
        reason: str = reply.get("FailureReason", "")
        return reason.startswith(_INTERRUPTIONS)
    return reply.get("SecondaryStatus") == "MaxWaitTimeExceeded"


def _ended(state: JobState, reply: Mapping[str, Any]) -> datetime | None:
    return time_of(reply.get("LastModifiedTime")) if state.terminal else None


def _manifest(reply: Mapping[str, Any]) -> Document:
    """What the runner was told; the service keeps it with the job. Jobs of other tools have none."""
    variables = reply.get("Environment") or {}
    return read_manifest(variables)


def _outputs(manifest: Document, state: JobState) -> list[tuple[str, Document]]:
    """The service takes outputs away when a job has succeeded or was stopped; a failed one leaves no model."""
    return list(manifest.get("outputs", {}).items()) if state.terminal and state is not JobState.FAILED else []


def _artefact(reply: Mapping[str, Any], name: str, path: str) -> Artefact:
    """Where SageMaker puts a folder of the container with CompressionType NONE."""
    base = f"{reply['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{name}/output"
    for folder, place in ((MODEL, "model"), (DATA, "data")):
        if path == folder or path.startswith(f"{folder}/"):
            return Artefact(f"{base}/{place}{path.removeprefix(folder)}", is_folder=True)
    return Artefact(f"{base}{path}", is_folder=True)
