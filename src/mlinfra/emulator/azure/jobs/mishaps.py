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
from mlinfra.emulator.jobs.mishaps import JobMishaps
from mlinfra.emulator.jobs.pace import Preempted

if TYPE_CHECKING:
    from mlinfra.emulator.azure.jobs.job import Job
    from mlinfra.emulator.azure.jobs.pace import Pace
    from mlinfra.emulator.faults import Fault, Faults

_SHOWN = {"paused": Stage(PAUSED), "notresponding": Stage(NOT_RESPONDING)}


class Mishaps(JobMishaps[Stage]):
    """One job's."""

    def __init__(self, script: Faults, job: Job, pace: Pace) -> None:
        super().__init__(script, pace, "Job:Provisioning", "Job:Running", at_once=_SHOWN)
        self._job = job

    def call(self, moment: str) -> Call:
        """The job's properties."""
        return Call(ML, moment, body={"name": self._job.name, "properties": self._job.asked})

    def strike(self, fault: Fault) -> None:
        """Show a state for a while, or raise the job's end."""
        if fault.code in _SHOWN:
            self.show(_SHOWN[fault.code], fault.seconds, RUNNING)
        elif fault.code == "interruption" and self._job.spot:
            raise Preempted
        elif fault.code == "internal":
            raise faults.internal()
        elif fault.code == "capacity":
            raise faults.stockout(self._job.size)
        elif fault.code == "quota":
            raise faults.out_of_quota(self._job.size)
