"""What a script of faults does to a job, beside what it does to calls.

Rules for the operation `Job:Provisioning` meet a job while it waits for machines, those for `Job:Running` when its
processes run, `seconds` after that. They do `delay`, or `fail` with a code: `interruption` (of a job of low priority),
`internal`, `capacity`, `quota`; `paused` and `notresponding` show that state for `seconds` and go on. A rule's `match`
looks at the job's properties.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.emulator.azure.jobs import faults
from mlinfra.emulator.azure.jobs.states import NOT_RESPONDING, PAUSED, RUNNING, Stage
from mlinfra.emulator.azure.names import ML
from mlinfra.emulator.calls import Call

if TYPE_CHECKING:
    from mlinfra.emulator.azure.jobs.job import Job
    from mlinfra.emulator.azure.jobs.pace import Pace
    from mlinfra.emulator.faults import Fault, Faults

_PROVISIONING, _RUNNING = "Job:Provisioning", "Job:Running"
_SHOWN = {"paused": PAUSED, "notresponding": NOT_RESPONDING}


class Mishaps:
    """One job's."""

    def __init__(self, script: Faults, job: Job, pace: Pace) -> None:
        self._script = script
        self._job = job
        self._pace = pace
        self._due: list[Fault] = []

    def provision(self) -> None:
        """Meet what is scripted for the time before there are machines."""
        for fault in self._struck(_PROVISIONING):
            if fault.do == "delay":
                self._pace.pause(fault.seconds)
            else:
                self._strike(fault)

    def arm(self) -> None:
        """Note what is scripted for the run that begins."""
        self._due = self._struck(_RUNNING)

    def meet(self, passed: float) -> None:
        """Meet what is due after so many virtual seconds of running."""
        for fault in list(self._due):
            if fault.code in _SHOWN or fault.seconds <= passed:
                self._due.remove(fault)
                self._strike(fault)

    def _struck(self, moment: str) -> list[Fault]:
        """Rules that do not name the moment are about calls, and are left alone."""
        if not any(rule.operation == moment for rule, _ in self._script.rules()):
            return []
        struck = self._script.striking(Call(ML, moment, body={"name": self._job.name, "properties": self._job.asked}))
        return [fault for fault in struck if fault.operation == moment]

    def _strike(self, fault: Fault) -> None:
        if fault.code in _SHOWN:
            self._pace.enter(Stage(_SHOWN[fault.code]))
            self._pace.pause(fault.seconds)
            self._pace.enter(RUNNING)
        elif fault.code == "interruption" and self._job.spot:
            raise faults.Preempted
        elif fault.code == "internal":
            raise faults.internal()
        elif fault.code == "capacity":
            raise faults.stockout(self._job.size)
        elif fault.code == "quota":
            raise faults.out_of_quota(self._job.size)
