"""The life of a custom job, from its creation to its end: one thread each.

It walks the states in virtual time and runs the containers in real time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.emulator.gcp.jobs import faults
from mlinfra.emulator.gcp.jobs.attempt import Attempt
from mlinfra.emulator.gcp.jobs.faults import InternalFault, JobEnd
from mlinfra.emulator.gcp.jobs.mishaps import Mishaps
from mlinfra.emulator.gcp.jobs.pace import Pace
from mlinfra.emulator.gcp.jobs.states import (
    CANCELLED,
    CANCELLING,
    GRACE,
    LAST_WORDS,
    PARTIALLY_SUCCEEDED,
    PENDING,
    QUEUED,
    RESTARTING,
    RUNNING,
    SUCCEEDED,
)
from mlinfra.emulator.jobs.pace import Preempted
from mlinfra.emulator.jobs.watch import Watch

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1.types import JobState
    from google.rpc.status_pb2 import Status

    from mlinfra.emulator.gcp.jobs.job import Job
    from mlinfra.emulator.gcp.jobs.jobs import Jobs
    from mlinfra.emulator.places import Ticket

_CAPACITY_GLANCE = 5.0  # virtual seconds between two looks for capacity
# How often a job is tried again, by the documentation: after faults of the infrastructure ("restarts"), and with spot
# machines that were taken away ("Use Spot VMs with training").
_MOST_RESTARTS = 3
_MOST_PREEMPTIONS = 6


class Run:
    """Called once, in a thread of its own. Returns when the job has ended."""

    def __init__(self, jobs: Jobs, job: Job) -> None:
        self._jobs = jobs
        self._emulator = jobs.emulator
        self._clock = jobs.emulator.clock
        self._job = job
        self._pace = Pace(jobs, job)
        self._mishaps = Mishaps(jobs.emulator.faults, job, self._pace, jobs.emulator.region)
        self._watch = Watch(self._pace, self._mishaps, job.timeout, lambda: faults.timed_out(job.timeout))
        self._ticket: Ticket | None = None

    def __call__(self) -> None:
        """Live. Raises Abandoned where the emulator ends meanwhile."""
        try:
            self._live()
            state = PARTIALLY_SUCCEEDED if self._mishaps.partial else SUCCEEDED
            self._end(state)
        except JobEnd as end:
            if end.state == CANCELLED:
                self._show_cancelling()
                self._pace.linger(CANCELLING)
            self._end(end.state, end.status)

    def fail(self) -> None:
        """End it with an internal error, where a run has met a fault of the emulator's own."""
        end = faults.internal()
        self._end(end.state, end.status)

    def _end(self, state: JobState, error: Status | None = None) -> None:
        self._jobs.say(self._job, LAST_WORDS[state])
        self._job.end(state, self._jobs.now(), error)

    def _show_cancelling(self) -> None:
        """Say that the job is being cancelled, unless it was said when that was asked for."""
        if self._job.state != CANCELLING.state:
            self._pace.enter(CANCELLING)

    def _live(self) -> None:
        """Attempt after attempt, until one succeeds. Raises JobEnd otherwise."""
        restarts = preemptions = 0
        retries = 0 if self._job.asked.job_spec.scheduling.disable_retries else _MOST_RESTARTS
        self._pace.stay(QUEUED)
        while True:
            try:
                self._attempt()
            except Preempted:
                preemptions += 1
                if not retries or preemptions > _MOST_PREEMPTIONS:
                    raise faults.preempted() from None
            except InternalFault:
                restarts += 1
                if restarts > retries:
                    raise faults.internal() from None
            else:
                return
            self._pace.stay(RESTARTING)

    def _attempt(self) -> None:
        try:
            self._provision()
            attempt = Attempt(self._emulator, self._job, *self._jobs.room(self._job))
            try:
                attempt.start()
                self._watch.until_started(attempt)
                self._run(attempt)
            finally:
                attempt.clear()
        finally:
            if self._ticket:
                self._jobs.places.give_back(self._ticket)

    def _provision(self) -> None:
        """Come by the machines, and by a place on this one."""
        self._pace.enter(PENDING)
        self._mishaps.provision()
        limit = self._clock.monotonic() + self._job.patience
        while self._jobs.short_of(self._job):
            if self._job.patience == float("inf") and not self._jobs.patient:
                raise faults.stockout(self._emulator.region)
            if self._clock.monotonic() >= limit:
                raise faults.waited_too_long(self._job.patience)
            self._pace.pause(_CAPACITY_GLANCE)
        self._ticket = self._jobs.places.ask(self._job.wishes.woken.set)
        self._watch.until_granted(self._ticket)
        self._pace.pause(self._emulator.delays.seconds(PENDING.delay))

    def _run(self, attempt: Attempt) -> None:
        """From the containers' start to their end."""
        self._pace.enter(RUNNING)
        self._mishaps.arm()
        try:
            self._watch.until_gone(attempt)
        except JobEnd as end:
            if end.state == CANCELLED:
                self._show_cancelling()
            self._watch.wind_down(attempt, GRACE)
            raise
        except (Preempted, InternalFault):
            self._watch.wind_down(attempt, GRACE)
            raise
        attempt.check()
