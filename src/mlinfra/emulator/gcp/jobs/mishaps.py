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
from mlinfra.emulator.jobs.mishaps import JobMishaps
from mlinfra.emulator.jobs.pace import Preempted

if TYPE_CHECKING:
    from mlinfra.emulator.faults import Fault, Faults
    from mlinfra.emulator.gcp.jobs.job import Job
    from mlinfra.emulator.gcp.jobs.pace import Pace

_SHOWN = {"paused": Stage(PAUSED, "", "Job is paused."), "updating": Stage(UPDATING, "", "Job is updating.")}


class Mishaps(JobMishaps[Stage]):
    """One job's."""

    def __init__(self, script: Faults, job: Job, pace: Pace, region: str) -> None:
        super().__init__(script, pace, "CustomJob:Provisioning", "CustomJob:Running", at_once=_SHOWN)
        self._job = job
        self._region = region
        self.partial = False

    def call(self, moment: str) -> Call:
        """The job's message."""
        return Call("JobService", moment, body=as_document(self._job.asked))

    def strike(self, fault: Fault) -> None:
        """Show a state for a while, or raise the job's end; note that it succeeds in part."""
        if fault.code in _SHOWN:
            self.show(_SHOWN[fault.code], fault.seconds, RUNNING)
        elif fault.code == "partial":
            self.partial = True
        elif fault.code == "interruption" and self._job.spot:
            raise Preempted
        elif fault.code == "internal":
            raise faults.InternalFault
        elif fault.code == "capacity":
            raise faults.stockout(self._region)
        elif fault.code == "expired":
            raise faults.expired()
