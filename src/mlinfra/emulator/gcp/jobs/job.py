"""A custom job as the service keeps it: what was asked for, where it stands, what came of it.

Every reader and writer of a job holds its `lock`; the run changes it, the methods read it and ask for changes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import RLock
from typing import TYPE_CHECKING

from google.cloud.aiplatform_v1.types import Scheduling

from mlinfra.emulator.gcp.jobs.states import ENDED, QUEUED, RUNNING
from mlinfra.emulator.gcp.wire.messages import copied
from mlinfra.emulator.jobs.wishes import Wishes

if TYPE_CHECKING:
    from datetime import datetime

    from google.cloud.aiplatform_v1.types import CustomJob, JobState
    from google.rpc.status_pb2 import Status

_WEEK = 7 * 86_400.0  # s, the default of `timeout`, by its description
_DAY = 86_400.0  # s, the default of `max_wait_duration`, by its description


@dataclass
class Job:
    """One job. `asked` is the validated message, with the service's defaults and its name; it does not change."""

    asked: CustomJob
    account: str  # the service account that it runs as
    created: datetime
    updated: datetime
    state: JobState = QUEUED.state
    started: datetime | None = None
    ended: datetime | None = None
    error: Status | None = None
    wishes: Wishes = field(default_factory=Wishes)
    lock: RLock = field(default_factory=RLock)

    @property
    def name(self) -> str:
        """Its resource name, as the service tells it."""
        return str(self.asked.name)

    @property
    def id(self) -> str:
        """The number that the service gave it."""
        return self.name.rpartition("/")[2]

    @property
    def has_ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in ENDED

    @property
    def spot(self) -> bool:
        """Whether its machines may be taken away."""
        return bool(self.asked.job_spec.scheduling.strategy == Scheduling.Strategy.SPOT)

    @property
    def timeout(self) -> float:
        """For how many virtual seconds it may run."""
        told = self.asked.job_spec.scheduling.timeout
        return (told.total_seconds() if told else 0.0) or _WEEK

    @property
    def patience(self) -> float:
        """For how many virtual seconds it waits for machines, without end where the strategy knows no limit."""
        wanted = self.asked.job_spec.scheduling
        if wanted.strategy != Scheduling.Strategy.FLEX_START:
            return float("inf")
        told = wanted.max_wait_duration.total_seconds() if "max_wait_duration" in wanted else _DAY
        return told or float("inf")

    def enter(self, state: JobState, at: datetime) -> None:
        """Come to a state."""
        with self.lock:
            self.state, self.updated = state, at
            if state == RUNNING.state and self.started is None:
                self.started = at

    def end(self, state: JobState, at: datetime, error: Status | None = None) -> None:
        """Come to an end."""
        with self.lock:
            self.ended, self.error = at, error
            self.enter(state, at)

    def told(self) -> CustomJob:
        """The message with which the service answers."""
        with self.lock:
            message = copied(self.asked)
            message.state = self.state
            message.create_time, message.update_time = self.created, self.updated
            if self.started:
                message.start_time = self.started
            if self.ended:
                message.end_time = self.ended
            if self.error:
                message.error = self.error
            found: CustomJob = message
            return found
