"""What a script of faults does to a job, beside what it does to calls.

Rules for the operation `CustomJob:Provisioning` meet a job while it waits for machines, those for `CustomJob:Running`
when its containers run, `seconds` after that. They do `delay`, or `fail` with a code: `interruption` (of a spot job),
`internal`, `capacity`, `expired`; `paused` and `updating` show that state for `seconds` and go on; `partial` lets a job
that succeeds say that it did so in part. A rule's `match` looks at the job's message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.emulator.calls import Call
from mlinfra.emulator.gcp.jobs import faults
from mlinfra.emulator.gcp.jobs.states import PAUSED, RUNNING, UPDATING, Stage
from mlinfra.emulator.gcp.wire.messages import as_document

if TYPE_CHECKING:
    from mlinfra.emulator.faults import Fault, Faults
    from mlinfra.emulator.gcp.jobs.job import Job
    from mlinfra.emulator.gcp.jobs.pace import Pace

_PROVISIONING, _RUNNING = "CustomJob:Provisioning", "CustomJob:Running"
_SHOWN = {"paused": PAUSED, "updating": UPDATING}


class Mishaps:
    """One job's."""

    def __init__(self, script: Faults, job: Job, pace: Pace, region: str) -> None:
        self._script = script
        self._job = job
        self._pace = pace
        self._region = region
        self._due: list[Fault] = []
        self.partial = False

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
        struck = self._script.striking(Call("JobService", moment, body=as_document(self._job.asked)))
        return [fault for fault in struck if fault.operation == moment]

    def _strike(self, fault: Fault) -> None:
        if fault.code in _SHOWN:
            self._pace.enter(Stage(_SHOWN[fault.code], "", f"Job is {fault.code}."))
            self._pace.pause(fault.seconds)
            self._pace.enter(RUNNING)
        elif fault.code == "partial":
            self.partial = True
        elif fault.code == "interruption" and self._job.spot:
            raise faults.Preempted
        elif fault.code == "internal":
            raise faults.InternalFault
        elif fault.code == "capacity":
            raise faults.stockout(self._region)
        elif fault.code == "expired":
            raise faults.expired()
