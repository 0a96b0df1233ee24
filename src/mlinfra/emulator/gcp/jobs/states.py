"""The states of a custom job: which are ends, how long each lasts, and what the service's own log says in them.

The states are those of `JobState` in google-cloud-aiplatform.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from google.cloud.aiplatform_v1.types import JobState

if TYPE_CHECKING:
    from collections.abc import Mapping

SUCCEEDED, PARTIALLY_SUCCEEDED = (
    JobState(JobState.JOB_STATE_SUCCEEDED),
    JobState(JobState.JOB_STATE_PARTIALLY_SUCCEEDED),
)
FAILED, CANCELLED, EXPIRED = (
    JobState(JobState.JOB_STATE_FAILED),
    JobState(JobState.JOB_STATE_CANCELLED),
    JobState(JobState.JOB_STATE_EXPIRED),
)
PAUSED, UPDATING = JobState(JobState.JOB_STATE_PAUSED), JobState(JobState.JOB_STATE_UPDATING)
ENDED = frozenset({SUCCEEDED, PARTIALLY_SUCCEEDED, FAILED, CANCELLED, EXPIRED})

# Virtual seconds. The service takes minutes where these take seconds; the proportions are about its own.
DELAYS: Mapping[str, float] = {
    "jobs.Queued": 0.5,
    "jobs.Pending": 4.0,
    "jobs.Cancelling": 0.5,
    "jobs.Restarting": 3.0,
    "jobs.Deleting": 0.5,
}
GRACE = 30.0  # virtual seconds between SIGTERM and SIGKILL, as Compute Engine gives a machine that is stopped


class Stage(NamedTuple):
    """A state, the name of its length in `DELAYS`, and what the service's log says of it."""

    state: JobState
    delay: str
    says: str


QUEUED = Stage(JobState(JobState.JOB_STATE_QUEUED), "jobs.Queued", "Job is queued.")
PENDING = Stage(JobState(JobState.JOB_STATE_PENDING), "jobs.Pending", "Waiting for job to be provisioned.")
RUNNING = Stage(JobState(JobState.JOB_STATE_RUNNING), "", "Job is running.")
RESTARTING = Stage(JobState(JobState.JOB_STATE_PENDING), "jobs.Restarting", "Job is restarting.")
CANCELLING = Stage(JobState(JobState.JOB_STATE_CANCELLING), "jobs.Cancelling", "Job is being cancelled.")
LAST_WORDS: Mapping[JobState, str] = {
    SUCCEEDED: "Job completed successfully.",
    PARTIALLY_SUCCEEDED: "Job completed; some results may be missing.",
    FAILED: "Job failed.",
    CANCELLED: "Job cancelled.",
    EXPIRED: "Job expired.",
}
