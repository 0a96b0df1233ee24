"""What a script of faults does to a job, beside what it does to calls.

Rules for the operation `TrainingJob:Launching` meet a job while it comes by its instances, those for
`TrainingJob:Training` when its containers run, `seconds` after that. They do `delay`, or `fail` with the code
`interruption` (of a managed spot job), `internal` or `capacity`. A rule's `match` looks at the job's request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.emulator.aws.training.faults import CAPACITY, INTERNAL, CapacityError, InternalServerError
from mlinfra.emulator.aws.training.states import Stage
from mlinfra.emulator.calls import Call
from mlinfra.emulator.jobs.mishaps import JobMishaps
from mlinfra.emulator.jobs.pace import Preempted

if TYPE_CHECKING:
    from mlinfra.emulator.aws.training.job import TrainingJob
    from mlinfra.emulator.aws.training.pace import Pace
    from mlinfra.emulator.faults import Fault, Faults


class Mishaps(JobMishaps[Stage]):
    """One job's."""

    def __init__(self, script: Faults, job: TrainingJob, pace: Pace) -> None:
        super().__init__(script, pace, "TrainingJob:Launching", "TrainingJob:Training")
        self._job = job

    def call(self, moment: str) -> Call:
        """The job's request."""
        return Call("sagemaker", moment, body=self._job.request)

    def strike(self, fault: Fault) -> None:
        """Raise what the job meets."""
        if fault.code == "interruption" and self._job.spot:
            raise Preempted
        if fault.code == "internal":
            raise InternalServerError(fault.message or INTERNAL)
        if fault.code == "capacity":
            raise CapacityError(fault.message or CAPACITY)
