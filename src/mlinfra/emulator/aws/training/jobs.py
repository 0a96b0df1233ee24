"""SageMaker's training jobs: CreateTrainingJob, Describe, List, Stop, Update, Delete; and what a script may do to them.

The jobs run for real, each in a thread that leads its processes on the host.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.aws.operations import Operation, Request, named
from mlinfra.emulator.aws.training import checks as training_checks
from mlinfra.emulator.aws.training import data as training_data
from mlinfra.emulator.aws.training import limits as training_limits
from mlinfra.emulator.aws.training import listing as training_listing
from mlinfra.emulator.aws.training import states as training_states
from mlinfra.emulator.aws.training.container import Room
from mlinfra.emulator.aws.training.job import TrainingJob, completed
from mlinfra.emulator.aws.training.run import Run
from mlinfra.emulator.aws.training.warm import AVAILABLE, alike
from mlinfra.emulator.aws.wire import refusals
from mlinfra.emulator.delays import Delays
from mlinfra.emulator.jobs.roster import Roster
from mlinfra.errors import UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from mlinfra.emulator.aws.emulator import AwsEmulator


class Training(Roster[TrainingJob]):
    """The training jobs of the account.

    `script` is the walk of stages (`training_states.FORMER` passes the retired statuses as well).
    """

    def __init__(self, emulator: AwsEmulator) -> None:
        super().__init__(emulator.clock, emulator.settings.list_lag)
        self.emulator = emulator
        self.delays = Delays(training_states.DELAYS, emulator.settings.delays_scale)
        self.script = training_states.TODAY
        self._serial = count(1)
        self._deleting: set[str] = set()

    def now(self) -> datetime:
        """The emulator's time as the wire carries it, in whole milliseconds, so that what was told compares."""
        now = self.emulator.clock.now()
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    def interrupt(self, name: str) -> None:
        """Take a managed spot job's instances away; it starts again from its checkpoints. UsageError if it has none."""
        job = self._running(name)
        if not job.spot:
            raise UsageError(
                "only a managed spot job can be interrupted",
                given=name,
                todo="create it with EnableManagedSpotTraining",
            )
        job.wishes.wish("interrupt")

    def break_down(self, name: str) -> None:
        """Let a job meet an internal error of the service; `RetryStrategy` says whether it is tried again."""
        self._running(name).wishes.wish("breakdown")

    def leftovers(self) -> list[str]:
        """The ARNs of the jobs that were not deleted."""
        self._sweep()
        return [job.arn for job in self.records.values()]

    def create(self, request: Request) -> dict[str, Any]:
        """CreateTrainingJob."""
        tags = request.body.get("Tags", ())
        body = completed({name: value for name, value in request.body.items() if name != "Tags"})
        training_checks.check(body)
        role = body["RoleArn"]
        self.emulator.pass_role(request, role)
        image = self.emulator.registry.contents(body["AlgorithmSpecification"]["TrainingImage"], role)
        training_data.check(self.emulator, body)
        name, now = body["TrainingJobName"], self.now()
        job = TrainingJob(body, self.emulator.arn("training-job", name), now)
        if tags:
            self.emulator.desk.allow(request.call, "sagemaker:AddTags", job.arn)
        job.enter(self.script.cold[0], now)
        with self.records.lock:
            self._sweep()
            if name in self.records:
                raise refusals.in_use(
                    "Training job names must be unique within an AWS account and region, and a training job with "
                    f"this name already exists ({job.arn})"
                )
            training_limits.check(self.emulator.quotas, job, self.records.values())
            self.emulator.tags.put(job.arn, tags)
            self.records.add(name, job)
            self.lead(Run(self, job, image), f"training {name}")
        return {"TrainingJobArn": job.arn}

    def describe(self, request: Request) -> dict[str, Any]:
        """DescribeTrainingJob."""
        return self._get(request).describe(self.now())

    def list(self, request: Request) -> dict[str, Any]:
        """ListTrainingJobs."""
        self._sweep()
        now = self.now()
        return training_listing.answer([job.summary(now) for job in self.records.listed()], request.body)

    def halt(self, request: Request) -> dict[str, Any]:
        """StopTrainingJob. The job is Stopping at once; its container gets SIGTERM and 120 seconds."""
        job = self._get(request)
        with job.lock:
            if job.has_ended or job.status == training_states.DELETING:
                raise refusals.validation(
                    f"The request was rejected because the training job is in status {job.status}."
                )
            if job.status != training_states.STOPPING:
                job.enter(training_states.HALT, self.now())
                job.wishes.wish("stop")
        return {}

    def update(self, request: Request) -> dict[str, Any]:
        """UpdateTrainingJob: profiling while it runs, the length of the warm pool's life after."""
        job = self._get(request)
        changes = {name: value for name, value in request.body.items() if name != "TrainingJobName"}
        if changes.get("ProfilerRuleConfigurations") or changes.get("RemoteDebugConfig", {}).get("EnableRemoteDebug"):
            raise refusals.not_emulated("UpdateTrainingJob with debugging or profiling rules")
        with job.lock:
            if "ResourceConfig" in changes:
                self._keep_alive(job, changes["ResourceConfig"]["KeepAlivePeriodInSeconds"])
            if "ProfilerConfig" in changes:
                if job.status != training_states.IN_PROGRESS:
                    raise refusals.validation(
                        f"The request was rejected because the training job is in status {job.status}."
                    )
                job.request["ProfilerConfig"] = {**job.request.get("ProfilerConfig", {}), **changes["ProfilerConfig"]}
                job.wishes.wish("update")
        return {"TrainingJobArn": job.arn}

    def delete(self, request: Request) -> dict[str, Any]:
        """DeleteTrainingJob. The job is Deleting for a while, then its name is free."""
        job = self._get(request)
        now = self.now()
        with job.lock:
            warm = job.pool is not None and job.pool.status(now) == AVAILABLE
            if not job.has_ended or warm:
                state = "retaining an Available warm pool" if warm else job.status
                raise refusals.in_use(f"Training job {job.name} is {state}; only jobs that have ended can be deleted")
            job.status = training_states.DELETING
            job.gone_at = self.emulator.clock.monotonic() + self.delays.seconds("training.Deleting")
        self._deleting.add(job.name)
        self._sweep()
        return {}

    def room(self, job: TrainingJob) -> Room:
        """A folder and a name on the host for a new attempt."""
        name = f"{job.name}.{next(self._serial)}"
        return Room(self.emulator.folder / "training" / name, name)

    def take_warm(self, job: TrainingJob) -> bool:
        """Take the warm pool of an ended job like this one, if it asks for one too and there is one."""
        if not job.keep_alive:
            return False
        now = self.now()
        with self.records.lock:
            for other in self.records.values():
                pool = other.pool
                if pool and pool.status(now) == AVAILABLE and alike(job.request, other.request):
                    pool.reused_by, pool.left = job.name, now
                    return True
        return False

    def _get(self, request: Request) -> TrainingJob:
        self._sweep()
        job = self.records.get(request.body["TrainingJobName"])
        if job is None:
            raise refusals.not_found()
        return job

    def _running(self, name: str) -> TrainingJob:
        job = self.records.get(name)
        if job is None or job.has_ended:
            raise UsageError("no training job of that name is running", given=name)
        return job

    def _sweep(self) -> None:
        """Take out the jobs whose deletion is done."""
        now = self.emulator.clock.monotonic()
        with self.records.lock:
            for name in list(self._deleting):
                job = self.records.get(name)
                if job and job.gone_at <= now:
                    self._deleting.remove(name)
                    self.records.remove(name)
                    self.emulator.tags.drop(job.arn)

    def _keep_alive(self, job: TrainingJob, seconds: int) -> None:
        now = self.now()
        if job.pool is None or job.pool.status(now) != AVAILABLE:
            raise refusals.validation(f"Training job {job.name} retains no Available warm pool")
        job.pool.keep(seconds, now)
        job.request["ResourceConfig"] = {**job.request["ResourceConfig"], "KeepAlivePeriodInSeconds": seconds}


_ON_JOB = named("training-job", "TrainingJobName")
_CONTAINER = (
    "the container is a process: an interpreter at hand stands for the image, in a private /opt/ml where the machine "
    "allows mount namespaces, else below a path prefix"
)
_NETWORK = (
    "EnableNetworkIsolation cuts the network of a job with one node where the machine allows it, else it is recorded; "
    "inter-container encryption and VPC are recorded"
)
_ABSENT = (
    "AlgorithmName, Debugger, experiments, TensorBoard, MLflow, remote debugging, training plans and serverless jobs "
    "are not emulated"
)
OPERATIONS = (
    Operation(
        "CreateTrainingJob",
        lambda emulator, request: emulator.training.create(request),
        _ON_JOB,
        (
            _CONTAINER,
            _NETWORK,
            _ABSENT,
            "a job needs ContainerEntrypoint: the entry point of an image is not emulated",
            "AWS's scikit-learn images stand for an interpreter with that version, its PyTorch images for their Python",
            "instances are this machine, whatever their type; nodes are processes that share it",
            "FastFile channels are copied before the start; Pipe mode and file systems are not emulated",
            "the role's keys are told at an address of loopback (AWS_CONTAINER_CREDENTIALS_FULL_URI)",
            "the time of a spot job is billed without a discount",
        ),
    ),
    Operation(
        "DescribeTrainingJob",
        lambda emulator, request: emulator.training.describe(request),
        _ON_JOB,
        ("the retired secondary statuses are reported only where the emulator is told to",),
    ),
    Operation("ListTrainingJobs", lambda emulator, request: emulator.training.list(request)),
    Operation("StopTrainingJob", lambda emulator, request: emulator.training.halt(request), _ON_JOB),
    Operation(
        "UpdateTrainingJob",
        lambda emulator, request: emulator.training.update(request),
        _ON_JOB,
        ("profiling is recorded and profiles nothing; rules and remote debugging are not emulated",),
    ),
    Operation("DeleteTrainingJob", lambda emulator, request: emulator.training.delete(request), _ON_JOB),
)
