"""What a script of faults does to a job, beside what it does to calls.

Rules for the operation `TrainingJob:Launching` meet a job while it comes by its instances, those for
`TrainingJob:Training` when its containers run, `seconds` after that. They do `delay`, or `fail` with the code
`interruption` (of a managed spot job), `internal` or `capacity`. A rule's `match` looks at the job's request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.emulator.aws.training.faults import CAPACITY, INTERNAL, CapacityError, InternalServerError
from mlinfra.emulator.aws.training.pace import Reclaimed
from mlinfra.emulator.calls import Call

if TYPE_CHECKING:
    from mlinfra.emulator.aws.training.job import TrainingJob
    from mlinfra.emulator.aws.training.pace import Pace
    from mlinfra.emulator.faults import Fault, Faults

_LAUNCHING, _TRAINING = "TrainingJob:Launching", "TrainingJob:Training"


class Mishaps:
    """One job's."""

    def __init__(self, faults: Faults, job: TrainingJob) -> None:
        self._faults = faults
        self._job = job
        self._due: list[Fault] = []

    def launch(self, pace: Pace) -> None:
        """Meet what is scripted for the launch."""
        for fault in self._struck(_LAUNCHING):
            if fault.do == "delay":
                pace.pause(fault.seconds)
            else:
                self._strike(fault)

    def arm(self) -> None:
        """Note what is scripted for the training that begins."""
        self._due = self._struck(_TRAINING)

    def meet(self, passed: float) -> None:
        """Meet what is due after so many virtual seconds of training."""
        for fault in [fault for fault in self._due if fault.seconds <= passed]:
            self._due.remove(fault)
            self._strike(fault)

    def _struck(self, moment: str) -> list[Fault]:
        """Rules that do not name the moment are about calls, and are left alone."""
        if not any(rule.operation == moment for rule, _ in self._faults.rules()):
            return []
        struck = self._faults.striking(Call("sagemaker", moment, body=self._job.request))
        return [fault for fault in struck if fault.operation == moment]

    def _strike(self, fault: Fault) -> None:
        if fault.code == "interruption" and self._job.spot:
            raise Reclaimed
        if fault.code == "internal":
            raise InternalServerError(fault.message or INTERNAL)
        if fault.code == "capacity":
            raise CapacityError(fault.message or CAPACITY)
