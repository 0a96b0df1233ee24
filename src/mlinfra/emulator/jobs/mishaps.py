"""What a script of faults does to a job, beside what it does to calls: before it has machines, and while it runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Generic

from mlinfra.emulator.jobs.pace import S

if TYPE_CHECKING:
    from collections.abc import Container

    from mlinfra.emulator.calls import Call
    from mlinfra.emulator.faults import Fault, Faults
    from mlinfra.emulator.jobs.pace import JobPace


class JobMishaps(ABC, Generic[S]):
    """One job's. `provisioning` and `running` are the operations that rules name for the two moments.

    Those for the second wait for their `seconds`, but for the codes in `at_once`, whose seconds are a length.
    """

    def __init__(
        self, script: Faults, pace: JobPace[S], provisioning: str, running: str, at_once: Container[str] = ()
    ) -> None:
        self._script = script
        self._pace = pace
        self._provisioning = provisioning
        self._running = running
        self._at_once = at_once
        self._due: list[Fault] = []

    @abstractmethod
    def call(self, moment: str) -> Call:
        """What a rule's `match` looks at."""

    @abstractmethod
    def strike(self, fault: Fault) -> None:
        """Do what a fault's code says."""

    def provision(self) -> None:
        """Meet what is scripted for the time before there are machines."""
        for fault in self._struck(self._provisioning):
            if fault.do == "delay":
                self._pace.pause(fault.seconds)
            else:
                self.strike(fault)

    def arm(self) -> None:
        """Note what is scripted for the run that begins."""
        self._due = self._struck(self._running)

    def meet(self, passed: float) -> None:
        """Meet what is due after so many virtual seconds of running."""
        for fault in list(self._due):
            if fault.code in self._at_once or fault.seconds <= passed:
                self._due.remove(fault)
                self.strike(fault)

    def show(self, stage: S, seconds: float, back: S) -> None:
        """Be in a stage for so long, and then in the one from before."""
        self._pace.enter(stage)
        self._pace.pause(seconds)
        self._pace.enter(back)

    def _struck(self, moment: str) -> list[Fault]:
        """Rules that do not name the moment are about calls, and are left alone."""
        if not any(rule.operation == moment for rule, _ in self._script.rules()):
            return []
        return [fault for fault in self._script.striking(self.call(moment)) if fault.operation == moment]
