"""How a job's run lets time pass: stage by stage, and obedient to what is asked of the job meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.emulator.aws.training import states
from mlinfra.emulator.aws.training.faults import INTERNAL, InternalServerError
from mlinfra.emulator.aws.training.states import Stage

if TYPE_CHECKING:
    from mlinfra.emulator.aws.training.job import TrainingJob
    from mlinfra.emulator.aws.training.jobs import Training


class Abandoned(Exception):
    """The emulator ends; nothing more is told of the job."""


class Halt(Exception):
    """The job is to end as stopped; `status` is the secondary status that says why."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


class Reclaimed(Exception):
    """The spot instances were taken away."""


class Pace:
    """One job's. Every wait may end with Abandoned, Halt, Reclaimed or InternalServerError."""

    def __init__(self, training: Training, job: TrainingJob) -> None:
        self._training = training
        self._clock = training.emulator.clock
        self._job = job
        self._began = self._clock.monotonic()

    def enter(self, stage: Stage) -> None:
        """Come to a stage; a job that is to stop comes to none but those of its end."""
        with self._job.lock:
            if self._job.wishes.stop and stage not in {states.HALT, states.UPLOAD}:
                raise Halt(states.STOPPED)
            self._job.enter(stage, self._training.now())

    def stay(self, stage: Stage) -> None:
        """Come to a stage and let its time pass."""
        self.enter(stage)
        self.pause(self._training.delays.seconds(stage.delay))

    def linger(self, stage: Stage) -> None:
        """Let the time of a stage of the job's end pass, whatever is asked."""
        self._clock.sleep(self._training.delays.seconds(stage.delay), self._training.closing)

    def halt(self) -> None:
        """Say that the job is stopping, unless it was said when that was asked for."""
        if self._job.status != states.STOPPING:
            self.enter(states.HALT)

    def pause(self, seconds: float) -> None:
        """Let virtual time pass."""
        end = self._clock.monotonic() + seconds
        while (left := end - self._clock.monotonic()) > 0:
            self._clock.sleep(min(left, max(0.0, self._wait_left())), self._job.wishes.woken)
            self._obey()
        self._obey()

    def glance(self, seconds: float) -> None:
        """Let real time pass."""
        self._job.wishes.woken.wait(seconds)
        self._obey()

    def grace(self, seconds: float) -> None:
        """Let real time pass for a container that was told to end; nothing else is obeyed now."""
        if self._training.closing.wait(seconds):
            raise Abandoned

    def _obey(self) -> None:
        wishes = self._job.wishes
        wishes.woken.clear()
        if wishes.abandon:
            raise Abandoned
        if wishes.stop:
            raise Halt(states.STOPPED)
        if self._wait_left() <= 0:
            raise Halt(states.MAX_WAIT)
        if wishes.take("breakdown"):
            raise InternalServerError(INTERNAL)
        if wishes.take("interrupt"):
            raise Reclaimed
        if wishes.take("update"):
            self._show_update()

    def _wait_left(self) -> float:
        """Virtual seconds until MaxWaitTimeInSeconds is used up."""
        limit = self._job.limits.get("MaxWaitTimeInSeconds")
        return float("inf") if limit is None else self._began + limit - self._clock.monotonic()

    def _show_update(self) -> None:
        before = self._job.history.transitions[-1]
        self.stay(states.UPDATE)
        self.enter(Stage(before.status, before.message, ""))
