"""How a job's run comes from state to state, and what it obeys meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.emulator.gcp.jobs import faults
from mlinfra.emulator.gcp.jobs.states import CANCELLING, Stage
from mlinfra.emulator.jobs.pace import JobPace, Preempted

if TYPE_CHECKING:
    from mlinfra.emulator.gcp.jobs.job import Job
    from mlinfra.emulator.gcp.jobs.jobs import Jobs


class Pace(JobPace[Stage]):
    """One job's. Every wait may end with Abandoned, JobEnd (it is cancelled), Preempted or InternalFault."""

    def __init__(self, jobs: Jobs, job: Job) -> None:
        super().__init__(jobs.emulator.clock, jobs.emulator.delays, job.wishes, jobs.closing)
        self._jobs = jobs
        self._job = job

    def enter(self, stage: Stage) -> None:
        """Come to a stage, and let the service's log say so; a job that is to end comes to none but that."""
        with self._job.lock:
            if self._job.wishes.has("cancel") and stage is not CANCELLING:
                raise faults.cancelled()
            self._job.enter(stage.state, self._jobs.now())
        self._jobs.say(self._job, stage.says)

    def obey(self) -> None:
        """Raise what was asked for."""
        wishes = self._job.wishes
        if wishes.has("cancel"):
            raise faults.cancelled()
        if wishes.take("break"):
            raise faults.InternalFault
        if wishes.take("preempt"):
            raise Preempted
