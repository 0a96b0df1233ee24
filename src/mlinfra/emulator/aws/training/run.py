"""The life of a training job, from its creation to its end: one thread each.

It walks the stages in virtual time and runs the containers in real time.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from mlinfra.emulator.aws.training import keys as training_keys
from mlinfra.emulator.aws.training import states
from mlinfra.emulator.aws.training.attempt import Attempt
from mlinfra.emulator.aws.training.faults import (
    CAPACITY,
    INTERNAL,
    AlgorithmError,
    CapacityError,
    ClientError,
    InternalServerError,
    JobFault,
)
from mlinfra.emulator.aws.training.mishaps import Mishaps
from mlinfra.emulator.aws.training.nodes import of as nodes_of
from mlinfra.emulator.aws.training.pace import Halt, Pace
from mlinfra.emulator.aws.training.states import Stage
from mlinfra.emulator.jobs.pace import Preempted
from mlinfra.emulator.jobs.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mlinfra.emulator.aws.registry.images import Contents
    from mlinfra.emulator.aws.training.job import TrainingJob
    from mlinfra.emulator.aws.training.jobs import Training
    from mlinfra.emulator.places import Ticket

_CAPACITY_GLANCE = 5.0  # virtual seconds between two looks for capacity
_CAPACITY_PATIENCE = 3600.0  # virtual seconds for which on-demand capacity is looked for
_ACCELERATED = ("ml.p", "ml.g", "ml.trn")  # the families to which MaxPendingTimeInSeconds applies
_IN_TRAINING = Stage(states.TRAINING, states.IN_TRAINING, "")


class Run:
    """Called once, in a thread of its own. Returns when the job has ended."""

    def __init__(self, training: Training, job: TrainingJob, image: Contents) -> None:
        self._training = training
        self._emulator = training.emulator
        self._clock = training.emulator.clock
        self._job = job
        self._image = image
        self._pace = Pace(training, job)
        self._mishaps = Mishaps(training.emulator.faults, job, self._pace)
        limit = job.limits["MaxRuntimeInSeconds"]
        self._watch = Watch(self._pace, self._mishaps, limit, lambda: Halt(states.MAX_RUNTIME))
        self._ticket: Ticket | None = None

    def __call__(self) -> None:
        """Live. Raises Abandoned where the emulator ends meanwhile."""
        try:
            status, reason = self._live()
        except JobFault as exc:
            status, reason = states.FAILED, exc.reason
        except Halt as exc:
            self._pace.halt()
            self._pace.linger(states.HALT)
            status, reason = exc.status, ""
        self._job.end(status, self._training.now(), reason)

    def fail(self) -> None:
        """End it with an internal error, where a run has met a fault of the emulator's own."""
        self._job.end(states.FAILED, self._training.now(), InternalServerError(INTERNAL).reason)

    def _live(self) -> tuple[str, str]:
        """Attempt after attempt. Returns the secondary status and the reason of the end."""
        retries = self._job.request.get("RetryStrategy", {}).get("MaximumRetryAttempts", 0)
        while True:
            try:
                return self._attempt()
            except Preempted:
                self._pace.stay(states.LOST)
            except InternalServerError:
                if not retries:
                    raise
                retries -= 1
            self._pace.stay(states.AGAIN)

    def _attempt(self) -> tuple[str, str]:
        try:
            self._launch()
            nodes = nodes_of(self._job.request["ResourceConfig"], self._job.machine)
            with self._in_use():
                attempt = Attempt(self._emulator, self._job, self._image, nodes, self._training.room(self._job))
                try:
                    self._bring(attempt)
                    return self._train(attempt)
                finally:
                    attempt.clear()
        finally:
            if self._ticket:
                self._training.places.give_back(self._ticket)

    def _launch(self) -> None:
        """Come by the instances, a warm pool's or new ones, and by a place on this machine."""
        script = self._training.script
        warm = self._training.take_warm(self._job)
        first, *further = script.warm if warm else script.cold
        self._pace.stay(first)
        self._mishaps.provision()
        if not warm:
            self._pace.stay(further.pop(0))
            self._await_capacity()
        self._await_place()
        for stage in further:
            self._pace.stay(stage)
        training_keys.check(self._emulator, self._job)

    def _await_capacity(self) -> None:
        """Wait in line while no instance type that would do is to be had."""
        resources = self._job.request["ResourceConfig"]
        preferred = [each["InstanceType"] for each in resources.get("InstancePreferences", ())]
        wanted = preferred or [node.machine for node in nodes_of(resources)]
        limit = self._clock.monotonic() + self._patience(wanted)
        while not self._comes_by(wanted, any_will_do=bool(preferred)):
            if self._clock.monotonic() >= limit:
                raise CapacityError(CAPACITY)
            self._pace.enter(Stage(self._job.history.status, states.NO_CAPACITY, ""))
            self._pace.pause(_CAPACITY_GLANCE)

    def _comes_by(self, wanted: Sequence[str], *, any_will_do: bool) -> bool:
        at_hand = [machine for machine in wanted if machine not in self._training.shortages]
        if any_will_do and at_hand:
            self._job.machine = at_hand[0]
            return True
        return len(at_hand) == len(wanted)

    def _patience(self, machines: Sequence[str]) -> float:
        if self._job.spot:
            return float("inf")  # MaxWaitTimeInSeconds ends it
        asked = self._job.limits.get("MaxPendingTimeInSeconds")
        counts = any(machine.startswith(_ACCELERATED) for machine in machines)
        return float(asked) if asked is not None and counts else _CAPACITY_PATIENCE

    def _await_place(self) -> None:
        """Wait in line for this machine."""
        self._ticket = self._training.places.ask(self._job.wishes.woken.set)
        self._watch.until_granted(self._ticket)

    def _bring(self, attempt: Attempt) -> None:
        """Data and image, until the containers run."""
        if self._job.request.get("InputDataConfig"):
            self._pace.enter(states.DATA)
            attempt.bring_data()
            self._pace.stay(states.DATA)
        else:
            attempt.bring_data()
        self._pace.stay(self._training.script.image)
        attempt.start()
        self._watch.until_started(attempt)

    def _train(self, attempt: Attempt) -> tuple[str, str]:
        """From the containers' start to the upload of what they left."""
        self._pace.enter(_IN_TRAINING)
        status, reason = states.COMPLETED, ""
        try:
            self._mishaps.arm()
            self._mishaps.meet(0.0)
            self._watch.until_gone(attempt)
            attempt.check()
        except Halt as exc:
            self._pace.halt()
            self._watch.wind_down(attempt, states.GRACE)
            status = exc.status
        except Preempted:
            self._watch.wind_down(attempt, states.GRACE)
            raise
        except (ClientError, AlgorithmError) as exc:
            attempt.containers.kill()
            status, reason = states.FAILED, exc.reason
        self._pace.enter(states.UPLOAD)
        attempt.upload(model=status != states.FAILED)
        self._pace.linger(states.UPLOAD)
        return status, reason

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        """Count the time for which instances are held."""
        since = self._clock.monotonic()
        self._job.started = self._job.started or self._training.now()
        try:
            yield
        finally:
            self._job.in_use += self._clock.monotonic() - since
