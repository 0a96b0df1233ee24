"""The life of a command job, from its creation to its end: one thread each.

It walks the states in virtual time and runs the processes in real time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.emulator.azure.jobs import faults
from mlinfra.emulator.azure.jobs.attempt import Attempt
from mlinfra.emulator.azure.jobs.faults import JobEnd
from mlinfra.emulator.azure.jobs.logs import LogFiles
from mlinfra.emulator.azure.jobs.mishaps import Mishaps
from mlinfra.emulator.azure.jobs.pace import Pace
from mlinfra.emulator.azure.jobs.states import (
    CANCEL_REQUESTED,
    CANCELED,
    COMPLETED,
    FINALIZING,
    GRACE,
    NOT_STARTED,
    PREPARING,
    PROVISIONING,
    QUEUED,
    REQUEUED,
    RUNNING,
    STARTING,
)
from mlinfra.emulator.jobs.pace import Preempted
from mlinfra.emulator.jobs.watch import Watch

if TYPE_CHECKING:
    from mlinfra.emulator.azure.jobs.computes import Compute
    from mlinfra.emulator.azure.jobs.job import Job
    from mlinfra.emulator.azure.jobs.jobs import Jobs
    from mlinfra.emulator.places import Ticket
    from mlinfra.emulator.programs import Contents

_NODE_GLANCE = 0.2  # real seconds between two looks for free nodes of a cluster
_CAPACITY_GLANCE = 5.0  # virtual seconds between two looks for capacity


class Run:
    """Called once, in a thread of its own. Returns when the job has ended."""

    def __init__(self, jobs: Jobs, job: Job) -> None:
        self._jobs = jobs
        self._job = job
        self._pace = Pace(jobs, job)
        self._mishaps = Mishaps(jobs.emulator.faults, job, self._pace)
        self._logs = LogFiles(jobs.emulator.storage, jobs.artifacts(job), jobs.room(job)[0])
        self._watch = Watch(self._pace, self._mishaps, job.timeout, lambda: faults.timed_out(job.timeout))
        self._ticket: Ticket | None = None
        self._taken: Compute | None = None

    def __call__(self) -> None:
        """Live. Raises Abandoned where the emulator ends meanwhile."""
        with self._logs:
            self._lead()

    def _lead(self) -> None:
        """To the end, whichever it is."""
        try:
            self._live()
            self._job.finish(COMPLETED, self._jobs.now())
        except JobEnd as end:
            if end.state == CANCELED:
                self._show_cancelling()
                self._pace.linger(CANCEL_REQUESTED)
            self._job.finish(end.state, self._jobs.now(), end)

    def fail(self) -> None:
        """End it with an internal error, where a run has met a fault of the emulator's own."""
        end = faults.internal()
        self._job.finish(end.state, self._jobs.now(), end)

    def _show_cancelling(self) -> None:
        """Say that the job is being cancelled, unless it was said when that was asked for."""
        if self._job.state != CANCEL_REQUESTED.state:
            self._job.enter(CANCEL_REQUESTED.state, self._jobs.now())

    def _live(self) -> None:
        """Attempt after attempt, until none is interrupted. Raises JobEnd otherwise."""
        self._pace.stay(NOT_STARTED)
        while True:
            try:
                self._attempt()
            except Preempted:
                self._pace.stay(REQUEUED)
            else:
                return

    def _attempt(self) -> None:
        attempt = Attempt(self._jobs, self._job, self._logs, *self._jobs.room(self._job))
        try:
            self._pace.stay(PREPARING)
            contents = attempt.contents()
            self._provision()
            self._launch(attempt, contents)
            self._run(attempt)
        finally:
            attempt.clear()
            self._leave()

    def _provision(self) -> None:
        """Come by the machines, and by a place on this one."""
        stage = QUEUED if self._job.asked.get("computeId") else PROVISIONING
        self._pace.enter(stage)
        self._mishaps.provision()
        while self._job.size in self._jobs.shortages:
            if not self._jobs.patient:
                raise faults.stockout(self._job.size)
            self._pace.pause(_CAPACITY_GLANCE)
        compute = self._jobs.compute(self._job)
        if compute:
            while not self._jobs.computes.take(compute, self._job.nodes):
                self._pace.glance(_NODE_GLANCE)
            self._taken = compute
        self._ticket = self._jobs.places.ask(self._job.wishes.woken.set)
        self._watch.until_granted(self._ticket)
        self._pace.pause(self._jobs.emulator.delays.seconds(stage.delay))

    def _leave(self) -> None:
        """Give back what the attempt held."""
        if self._taken:
            self._jobs.computes.give_back(self._taken, self._job.nodes)
            self._taken = None
        if self._ticket:
            self._jobs.places.give_back(self._ticket)

    def _launch(self, attempt: Attempt, contents: Contents) -> None:
        self._pace.stay(STARTING)
        attempt.start(contents)
        self._watch.until_started(attempt)

    def _run(self, attempt: Attempt) -> None:
        """From the processes' start to their end, and what they leave."""
        self._pace.enter(RUNNING)
        self._mishaps.arm()
        try:
            self._watch.until_gone(attempt)
        except JobEnd as end:
            if end.state == CANCELED:
                self._show_cancelling()
            self._watch.wind_down(attempt, GRACE)
            attempt.deliver(whole=False)
            raise
        except Preempted:
            self._watch.wind_down(attempt, GRACE)
            attempt.deliver(whole=False)
            raise
        self._pace.stay(FINALIZING)
        try:
            attempt.check()
        except JobEnd:
            attempt.deliver(whole=False)
            raise
        attempt.deliver(whole=True)
