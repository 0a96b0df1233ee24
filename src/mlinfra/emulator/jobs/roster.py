"""The jobs that an emulator knows: each led by a thread of its own, all ended when the emulator ends."""

from __future__ import annotations

from threading import Event, Thread
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from mlinfra.emulator.jobs.pace import Abandoned
from mlinfra.emulator.places import Places
from mlinfra.emulator.table import Table

if TYPE_CHECKING:
    from mlinfra.emulator.clock import Clock
    from mlinfra.emulator.jobs.wishes import Wishes

_PATIENCE = 20.0  # real seconds for the runs to end when the emulator does


class Job(Protocol):
    """A job as its cloud's emulator keeps it."""

    wishes: Wishes


class Run(Protocol):
    """A job's life: called once, returns when the job has ended."""

    def __call__(self) -> None:
        """Raises Abandoned where the emulator ends meanwhile."""

    def fail(self) -> None:
        """End the job with an internal error, where its run has met a fault of the emulator's own."""


J = TypeVar("J", bound=Job)


class Roster(Generic[J]):
    """What all clouds' jobs share. Machines in `shortages` are not to be had until they are taken out again."""

    def __init__(self, clock: Clock, list_lag: float) -> None:
        self.shortages: set[str] = set()
        self.places = Places()
        self.closing = Event()
        self.records: Table[J] = Table(clock, list_lag)
        self._threads: list[Thread] = []

    def lead(self, run: Run, name: str) -> None:
        """Let a job live, in a thread of that name."""
        thread = Thread(target=_lead, args=(run,), name=name, daemon=True)
        self._threads = [*(each for each in self._threads if each.is_alive()), thread]
        thread.start()

    def stop(self) -> None:
        """End every job's processes, and forget how they would have ended. Safe to repeat."""
        self.closing.set()
        for job in self.records.values():
            job.wishes.wish("abandon")
        for thread in self._threads:
            thread.join(_PATIENCE)


def _lead(run: Run) -> None:
    """A thread's work."""
    try:
        run()
    except Abandoned:
        return
    except BaseException:
        run.fail()
        raise
