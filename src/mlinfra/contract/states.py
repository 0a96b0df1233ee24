"""The states that every platform's words are translated into.

Each adapter's table is total over the vendor's enum; a word it does not know is UNKNOWN, which is never
terminal: it is warned about once and bounded by the job's `max_runtime` and a grace.
"""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"
    TIMED_OUT = "timed_out"
    PAUSED = "paused"
    DELETING = "deleting"
    UNKNOWN = "unknown"

    @property
    def terminal(self) -> bool:
        """Whether the job will never leave this state."""
        return self in _JOB_ENDS

    @property
    def live(self) -> bool:
        """Whether the job is under way or may be."""
        return self not in _JOB_ENDS and self is not JobState.DELETING

    @property
    def reusable(self) -> bool:
        """Whether a second submission of the same work is answered with this job."""
        return self.live or self is JobState.SUCCEEDED


_JOB_ENDS = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.STOPPED, JobState.TIMED_OUT})


class EndpointState(StrEnum):
    """Where an endpoint or one of its deployments stands."""

    CREATING = "creating"
    READY = "ready"
    UPDATING = "updating"
    ROLLING_BACK = "rolling_back"
    FAILED = "failed"
    DELETING = "deleting"
    UNKNOWN = "unknown"

    @property
    def busy(self) -> bool:
        """Whether the platform is at work on it and would refuse a second operation."""
        return self in _ENDPOINT_BUSY


_ENDPOINT_BUSY = frozenset(
    {EndpointState.CREATING, EndpointState.UPDATING, EndpointState.ROLLING_BACK, EndpointState.DELETING}
)


class VersionState(StrEnum):
    """Where a model version stands."""

    CREATING = "creating"
    READY = "ready"
    FAILED = "failed"
    DELETING = "deleting"
    UNKNOWN = "unknown"


class Approval(StrEnum):
    """What has been decided about a model version."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
