"""How a job's run comes from stage to stage, and what it obeys meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.emulator.aws.training import states
from mlinfra.emulator.aws.training.faults import INTERNAL, InternalServerError
from mlinfra.emulator.aws.training.states import Stage
from mlinfra.emulator.jobs.pace import JobPace, Preempted

if TYPE_CHECKING:
    from mlinfra.emulator.aws.training.job import TrainingJob
    from mlinfra.emulator.aws.training.jobs import Training


class Halt(Exception):
    """The job is to end as stopped; `status` is the secondary status that says why."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


class Pace(JobPace[Stage]):
    """One job's. Every wait may end with Abandoned, Halt, Preempted or InternalServerError."""

    def __init__(self, training: Training, job: TrainingJob) -> None:
        super().__init__(training.emulator.clock, training.delays, job.wishes, training.closing)
        self._training = training
        self._job = job
        self._began = self.clock.monotonic()

    def enter(self, stage: Stage) -> None:
        """Come to a stage; a job that is to stop comes to none but those of its end."""
        with self._job.lock:
            if self._job.wishes.has("stop") and stage not in {states.HALT, states.UPLOAD}:
                raise Halt(states.STOPPED)
            self._job.enter(stage, self._training.now())

    def halt(self) -> None:
        """Say that the job is stopping, unless it was said when that was asked for."""
        if self._job.status != states.STOPPING:
            self.enter(states.HALT)

    def patience(self) -> float:
        """Virtual seconds until MaxWaitTimeInSeconds is used up."""
        limit = self._job.limits.get("MaxWaitTimeInSeconds")
        return float("inf") if limit is None else max(0.0, self._began + limit - self.clock.monotonic())

    def obey(self) -> None:
        """Raise what was asked for, or that the job has waited for too long; show that it is updated."""
        wishes = self._job.wishes
        if wishes.has("stop"):
            raise Halt(states.STOPPED)
        if not self.patience():
            raise Halt(states.MAX_WAIT)
        if wishes.take("breakdown"):
            raise InternalServerError(INTERNAL)
        if wishes.take("interrupt"):
            raise Preempted
        if wishes.take("update"):
            self._show_update()

    def _show_update(self) -> None:
        before = self._job.history.transitions[-1]
        self.stay(states.UPDATE)
        self.enter(Stage(before.status, before.message, ""))
