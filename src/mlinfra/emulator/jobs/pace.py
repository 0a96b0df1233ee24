"""How a job's run lets time pass: stage by stage, and obedient to what is asked of the job meanwhile."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from threading import Event

    from mlinfra.emulator.clock import Clock
    from mlinfra.emulator.delays import Delays
    from mlinfra.emulator.jobs.wishes import Wishes


class Abandoned(Exception):
    """The emulator ends; nothing more is told of the job."""


class Preempted(Exception):
    """Machines that may be taken away were; the job starts again."""


class Timed(Protocol):
    """A stage of a job's life; `delay` names its length in the table of delays."""

    @property
    def delay(self) -> str: ...  # noqa: D102  told above


S = TypeVar("S", bound=Timed)


class JobPace(ABC, Generic[S]):
    """One job's. Every wait may end with Abandoned, or with what `obey` raises."""

    def __init__(self, clock: Clock, delays: Delays, wishes: Wishes, closing: Event) -> None:
        self.clock = clock
        self._delays = delays
        self._wishes = wishes
        self._closing = closing

    @abstractmethod
    def enter(self, stage: S) -> None:
        """Come to a stage; a job that is to end comes to none but those of its end."""

    @abstractmethod
    def obey(self) -> None:
        """Do what is asked of the job. Raises what ends a wait."""

    def patience(self) -> float:
        """Virtual seconds until `obey` has to be asked again, whatever happens."""
        return float("inf")

    def stay(self, stage: S) -> None:
        """Come to a stage and let its time pass."""
        self.enter(stage)
        self.pause(self._delays.seconds(stage.delay))

    def linger(self, stage: S) -> None:
        """Let the time of a stage of the job's end pass, whatever is asked."""
        self.clock.sleep(self._delays.seconds(stage.delay), self._closing)

    def pause(self, seconds: float) -> None:
        """Let virtual time pass."""
        end = self.clock.monotonic() + seconds
        while (left := end - self.clock.monotonic()) > 0:
            self.clock.sleep(min(left, self.patience()), self._wishes.woken)
            self._wake()
        self._wake()

    def glance(self, seconds: float) -> None:
        """Let real time pass."""
        self._wishes.woken.wait(seconds)
        self._wake()

    def grace(self, seconds: float) -> None:
        """Let real time pass for containers that were told to end; nothing else is obeyed now."""
        if self._closing.wait(seconds):
            raise Abandoned

    def _wake(self) -> None:
        self._wishes.woken.clear()
        if self._wishes.has("abandon"):
            raise Abandoned
        self.obey()
