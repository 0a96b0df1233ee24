"""How a job's run lets time pass: state by state, and obedient to what is asked of the job meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.emulator.azure.jobs import faults
from mlinfra.emulator.azure.jobs.states import CANCEL_REQUESTED

if TYPE_CHECKING:
    from mlinfra.emulator.azure.jobs.job import Job
    from mlinfra.emulator.azure.jobs.jobs import Jobs
    from mlinfra.emulator.azure.jobs.states import Stage


class Pace:
    """One job's. Every wait may end with Abandoned, JobEnd (it is cancelled, or broken) or Preempted."""

    def __init__(self, jobs: Jobs, job: Job) -> None:
        self._jobs = jobs
        self._clock = jobs.emulator.clock
        self._job = job

    def enter(self, stage: Stage) -> None:
        """Come to a stage; a job that is to end comes to none but that."""
        with self._job.lock:
            if self._job.wishes.has("cancel") and stage is not CANCEL_REQUESTED:
                raise faults.cancelled()
            self._job.enter(stage.state, self._jobs.now())

    def stay(self, stage: Stage) -> None:
        """Come to a stage and let its time pass."""
        self.enter(stage)
        self.pause(self._jobs.emulator.delays.seconds(stage.delay))

    def pause(self, seconds: float) -> None:
        """Let virtual time pass."""
        end = self._clock.monotonic() + seconds
        while (left := end - self._clock.monotonic()) > 0:
            self._clock.sleep(left, self._job.wishes.woken)
            self._obey()
        self._obey()

    def glance(self, seconds: float) -> None:
        """Let real time pass."""
        self._job.wishes.woken.wait(seconds)
        self._obey()

    def linger(self, stage: Stage) -> None:
        """Let a stage's time pass, whatever is asked."""
        self._clock.sleep(self._jobs.emulator.delays.seconds(stage.delay), self._jobs.closing)

    def grace(self, seconds: float) -> None:
        """Let real time pass for a process that was told to end; nothing else is obeyed now."""
        if self._jobs.closing.wait(seconds):
            raise faults.Abandoned

    def _obey(self) -> None:
        wishes = self._job.wishes
        wishes.woken.clear()
        if wishes.has("abandon"):
            raise faults.Abandoned
        if wishes.has("cancel"):
            raise faults.cancelled()
        if wishes.take("break"):
            raise faults.internal()
        if wishes.take("preempt"):
            raise faults.Preempted
