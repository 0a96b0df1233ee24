"""The life of a command job, from its creation to its end: one thread each.

It walks the states in virtual time and runs the processes in real time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.emulator.azure.jobs import faults
from mlinfra.emulator.azure.jobs.attempt import Attempt
from mlinfra.emulator.azure.jobs.faults import Abandoned, JobEnd, Preempted
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
from mlinfra.emulator.jobs.wishes import glances

if TYPE_CHECKING:
    from mlinfra.emulator.azure.jobs.computes import Compute
    from mlinfra.emulator.azure.jobs.job import Job
    from mlinfra.emulator.azure.jobs.jobs import Jobs
    from mlinfra.emulator.places import Ticket
    from mlinfra.emulator.programs import Contents

_GONE = "ended"
_NODE_GLANCE = 0.2  # real seconds between two looks for free nodes of a cluster
_PLACE_GLANCE = 1.0  # real seconds between two looks of a job that waits for its place
_CAPACITY_GLANCE = 5.0  # virtual seconds between two looks for capacity


class Run:
    """Called once, in a thread of its own. Returns when the job has ended."""

    def __init__(self, jobs: Jobs, job: Job) -> None:
        self._jobs = jobs
        self._clock = jobs.emulator.clock
        self._job = job
        self._pace = Pace(jobs, job)
        self._mishaps = Mishaps(jobs.emulator.faults, job, self._pace)
        self._logs = LogFiles(jobs.emulator.storage, jobs.artifacts(job), jobs.room(job)[0])
        self._ran = 0.0  # virtual seconds of running, over all attempts
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
        while not self._ticket.granted:
            self._pace.glance(_PLACE_GLANCE)
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
        for glance in glances():
            if attempt.state():
                return
            self._pace.glance(glance)

    def _run(self, attempt: Attempt) -> None:
        """From the processes' start to their end, and what they leave."""
        self._pace.enter(RUNNING)
        since = self._clock.monotonic()
        try:
            self._watch(attempt, since)
        except JobEnd as end:
            if end.state == CANCELED:
                self._show_cancelling()
            self._wind_down(attempt)
            attempt.deliver(whole=False)
            raise
        except Preempted:
            self._wind_down(attempt)
            attempt.deliver(whole=False)
            raise
        finally:
            self._ran += self._clock.monotonic() - since
        self._pace.stay(FINALIZING)
        try:
            attempt.check()
        except JobEnd:
            attempt.deliver(whole=False)
            raise
        attempt.deliver(whole=True)

    def _watch(self, attempt: Attempt, since: float) -> None:
        """Look at the processes until they have ended, and carry what they write."""
        limit = self._job.timeout - self._ran
        self._mishaps.arm()
        for glance in glances():
            gone = attempt.state() == _GONE
            attempt.carry(last=gone)
            if gone:
                return
            passed = self._clock.monotonic() - since
            if passed >= limit:
                raise faults.timed_out(self._job.timeout)
            self._mishaps.meet(passed)
            self._pace.glance(glance)

    def _wind_down(self, attempt: Attempt) -> None:
        """Give the processes their grace, then end them; carry what they still wrote."""
        attempt.stop()
        last = self._clock.monotonic() + GRACE
        for glance in glances():
            if attempt.state() == _GONE:
                break
            self._pace.grace(glance)
            attempt.carry()
            if self._clock.monotonic() >= last:
                attempt.kill()
        attempt.carry(last=True)


def lead(run: Run) -> None:
    """A thread's work."""
    try:
        run()
    except Abandoned:
        return
    except BaseException:
        run.fail()
        raise
