"""Why a job ends otherwise than well: the `error` of a CustomJob, a google.rpc.Status, in the service's words.

The service publishes no list of them; the sentences are those that it shows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.rpc import code_pb2, status_pb2

from mlinfra.emulator.gcp.jobs.states import CANCELLED, EXPIRED, FAILED

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1.types import JobState

_LOGS = "https://console.cloud.google.com/logs/viewer?project={project}&resource=ml_job%2Fjob_id%2F{job}"
_SIGKILL = 137  # 128 and the signal's number, as shells tell it


class JobEnd(Exception):
    """A job comes to this end; `state` is its last one, `status` its error."""

    def __init__(self, state: JobState, code: int, message: str) -> None:
        super().__init__(message)
        self.state = state
        self.status = status_pb2.Status(code=code, message=message)


class InternalFault(Exception):
    """The service's infrastructure failed; the job is tried again."""


def cancelled() -> JobEnd:
    """As a user wished."""
    return JobEnd(CANCELLED, code_pb2.CANCELLED, "CANCELED")


def timed_out(seconds: float) -> JobEnd:
    """`scheduling.timeout` has passed; the job is ended as one that is cancelled."""
    message = f"The job was cancelled because it exceeded the timeout of {seconds:g}s."
    return JobEnd(CANCELLED, code_pb2.DEADLINE_EXCEEDED, message)


def exited(replica: str, exit_code: int, project: str, job: str) -> JobEnd:
    """A container ended badly."""
    advice = (
        f"To find out more about why your job exited please check the logs: {_LOGS.format(project=project, job=job)}"
    )
    if exit_code == _SIGKILL:
        message = f"The replica {replica} ran out-of-memory and exited with a non-zero status of 137(SIGKILL). {advice}"
        return JobEnd(FAILED, code_pb2.RESOURCE_EXHAUSTED, message)
    message = f"The replica {replica} exited with a non-zero status of {exit_code}. {advice}"
    return JobEnd(FAILED, code_pb2.INVALID_ARGUMENT, message)


def stockout(region: str) -> JobEnd:
    """No machine was to be had."""
    message = (
        f"Resources are insufficient in region: {region}. Please try a different region or use a different accelerator."
    )
    return JobEnd(FAILED, code_pb2.RESOURCE_EXHAUSTED, message)


def waited_too_long(seconds: float) -> JobEnd:
    """A job of the strategy FLEX_START got no machines within its `max_wait_duration`."""
    message = f"The requested resources were not provisioned within the maximum wait duration of {seconds:g}s."
    return JobEnd(FAILED, code_pb2.RESOURCE_EXHAUSTED, message)


def internal() -> JobEnd:
    """The service's own fault, after all retries."""
    return JobEnd(FAILED, code_pb2.INTERNAL, "Internal error encountered.")


def preempted() -> JobEnd:
    """A spot machine was taken away once too often."""
    message = "The job failed because its Spot VMs were preempted and the maximum number of retries was reached."
    return JobEnd(FAILED, code_pb2.UNAVAILABLE, message)


def unusable(message: str) -> JobEnd:
    """The container cannot be started."""
    return JobEnd(FAILED, code_pb2.INVALID_ARGUMENT, message)


def expired() -> JobEnd:
    """By a script alone: no document says when the service comes to that state."""
    return JobEnd(EXPIRED, code_pb2.DEADLINE_EXCEEDED, "The job has expired.")
