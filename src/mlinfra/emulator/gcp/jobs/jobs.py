"""Vertex AI's custom jobs: CreateCustomJob, Get, List, Cancel, Delete; and what a script may do to them.

The jobs run for real, each in a thread that leads its processes on the host.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

from google.cloud.aiplatform_v1.types import DeleteOperationMetadata, ListCustomJobsResponse
from google.protobuf import empty_pb2

from mlinfra.emulator.gcp import filters, paging
from mlinfra.emulator.gcp.jobs import checks, limits, logs, states
from mlinfra.emulator.gcp.jobs.job import Job
from mlinfra.emulator.gcp.jobs.replicas import task_of
from mlinfra.emulator.gcp.jobs.run import Run
from mlinfra.emulator.gcp.names import new_id
from mlinfra.emulator.gcp.operations import Method, Request, named
from mlinfra.emulator.gcp.wire import refusals
from mlinfra.emulator.gcp.wire.messages import copied, plain
from mlinfra.emulator.jobs.roster import Roster
from mlinfra.errors import UsageError

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from google.cloud.aiplatform_v1.types import CustomJob

    from mlinfra.emulator.gcp.emulator import GcpEmulator
    from mlinfra.emulator.gcp.wire.longrunning import Progress

_LINGER = 10.0  # real seconds; parameter servers never end by themselves
_COLLECTION = "customJobs"
_SERVICE = "JobService"
# Who runs a job that names nobody, and the roles that Google gives it in the project.
_AGENT = "service-{number}@gcp-sa-aiplatform-cc.iam.gserviceaccount.com"
_AGENT_ROLES = ("roles/storage.objectAdmin", "roles/logging.logWriter", "roles/artifactregistry.reader")
_FIELDS = {
    "display_name": filters.text("display_name", "=", "!=", ":"),
    "state": filters.state(),
    "create_time": filters.time("create_time"),
    "start_time": filters.time("start_time"),
    "end_time": filters.time("end_time"),
    "update_time": filters.time("update_time"),
}  # what the documentation of ListCustomJobsRequest names, and the times beside
DELAYS = dict(states.DELAYS)


class Jobs(Roster[Job]):
    """The custom jobs of the project.

    Where jobs are `patient` they wait for machine types in `shortages`, else they fail as the service lets them, but
    for those of the strategy FLEX_START. `linger` are the real seconds for which replicas may go on when the primary
    one is done.
    """

    def __init__(self, emulator: GcpEmulator) -> None:
        super().__init__(emulator.clock, emulator.settings.list_lag)
        self.emulator = emulator
        self.patient = False
        self.linger = _LINGER
        self._serial = count(1)

    def now(self) -> datetime:
        """The emulator's time as jobs tell it."""
        return self.emulator.clock.now()

    def preempt(self, name: str) -> None:
        """Take a spot job's machines away; it is tried again. UsageError where it has none, or does not run."""
        job = self._live(name)
        if not job.spot:
            raise UsageError("only a spot job can be preempted", given=name, todo="create it with the strategy SPOT")
        job.wishes.wish("preempt")

    def break_down(self, name: str) -> None:
        """Let a job meet a fault of the infrastructure; it is tried again unless it says otherwise."""
        self._live(name).wishes.wish("break")

    def leftovers(self) -> list[str]:
        """The names of the jobs that were not deleted."""
        return [job.name for job in self.records.values()]

    def stop(self) -> None:
        """End every job's processes, and forget how they would have ended. Safe to repeat."""
        super().stop()
        self.emulator.metadata.stop()

    def room(self, job: Job) -> tuple[Path, str]:
        """A folder that is not there, and a name on the host, for a new attempt."""
        name = f"job-{job.id}.{next(self._serial)}"
        return self.emulator.folder / "jobs" / name, name

    def short_of(self, job: Job) -> bool:
        """Whether a machine that a job needs is not to be had."""
        return any(pool.machine_spec.machine_type in self.shortages for pool in job.asked.job_spec.worker_pool_specs)

    def say(self, job: Job, text: str) -> None:
        """Let the service's own log tell something of a job."""
        task = logs.SERVICE_TASK
        resource = logs.resource(self.emulator.project, job.id, task)
        entry = {"severity": "INFO", "textPayload": text}
        self.emulator.logs.write(f"ml.googleapis.com/{job.id}", resource, logs.labels(job.id, task), [entry])

    # The methods

    def create(self, request: Request) -> CustomJob:
        """CreateCustomJob. Answers at once; sent twice it makes two."""
        asked = copied(request.message.custom_job)
        parent = self.emulator.place.resolve(request.message.parent)
        checks.check(asked, self.emulator.place)
        asked.name = f"{parent}/{_COLLECTION}/{new_id()}"
        for pool in asked.job_spec.worker_pool_specs:
            _complete(pool)
            image = task_of(pool).image
            if image:
                self.emulator.artifacts.check(image)
        account = self._account(request, asked.job_spec.service_account)
        now = self.now()
        job = Job(asked, account, now, now)
        with self.records.lock:
            others = [each.asked.job_spec for each in self.records.values() if not each.has_ended]
            limits.check(self.emulator.quotas, asked.job_spec, others)
            self.records.add(job.name, job)
            answer = job.told()
            self.lead(Run(self, job), f"custom job {job.id}")
        return answer

    def get(self, request: Request) -> CustomJob:
        """GetCustomJob."""
        return self._found(request.message.name).told()

    def list(self, request: Request) -> ListCustomJobsResponse:
        """ListCustomJobs, the newest first."""
        message = request.message
        parent = self.emulator.place.resolve(message.parent)
        told = [job.told() for job in reversed(self.records.listed()) if job.name.startswith(f"{parent}/")]
        page = paging.page(filters.matching(message.filter, told, _FIELDS), message, key=lambda job: str(job.name))
        shown = [_masked(job, message) for job in page.items] if "read_mask" in message else page.items
        return ListCustomJobsResponse(custom_jobs=shown, next_page_token=page.token)

    def cancel(self, request: Request) -> Any:
        """CancelCustomJob. Answers at once; the job is cancelled when its containers have ended."""
        job = self._found(request.message.name)
        with job.lock:
            if job.has_ended:
                raise refusals.failed_precondition(
                    f'The CustomJob "{job.name}" is in state {job.state.name} and cannot be cancelled.'
                )
            if not job.wishes.has("cancel"):
                job.enter(states.CANCELLING.state, self.now())
                self.say(job, states.CANCELLING.says)
                job.wishes.wish("cancel")
        return empty_pb2.Empty()

    def delete(self, request: Request) -> Any:
        """DeleteCustomJob, a long-running operation."""
        job = self._found(request.message.name)
        if not job.has_ended:
            raise refusals.failed_precondition(
                f'The CustomJob "{job.name}" is in state {job.state.name}. Only jobs that have ended can be deleted: '
                "cancel it first."
            )

        def work(progress: Progress) -> None:
            progress.wait("jobs.Deleting")
            self.records.remove(job.name)

        return self.emulator.longrunning.start("DeleteCustomJob", job.name, work, DeleteOperationMetadata())

    def _account(self, request: Request, email: str) -> str:
        """Who runs the job: whom it names, where the caller may act as them, else the service's agent."""
        if email:
            self.emulator.act_as(request, email)
            return email
        agent = _AGENT.format(number=self.emulator.project_number)
        if not self.emulator.principals.exists(agent):
            self.emulator.principals.create(agent)
            for role in _AGENT_ROLES:
                project = f"projects/{self.emulator.project}"
                self.emulator.identity.bindings.grant(project, role, f"serviceAccount:{agent}", "")
        return agent

    def _found(self, name: str) -> Job:
        job = self.records.get(self.emulator.place.resolve(name))
        if job is None:
            raise refusals.not_found(f"CustomJob {name}")
        return job

    def _live(self, name: str) -> Job:
        job = self.records.get(self.emulator.place.resolve(name))
        if job is None or job.has_ended:
            raise UsageError("no custom job of that name is running", given=name)
        return job


def _complete(pool: Any) -> None:
    """The service's defaults, by the descriptions of DiskSpec."""
    if pool.replica_count and not pool.disk_spec.boot_disk_type:
        pool.disk_spec.boot_disk_type = "pd-ssd"
    if pool.replica_count and not pool.disk_spec.boot_disk_size_gb:
        pool.disk_spec.boot_disk_size_gb = 100


def _masked(job: CustomJob, message: Any) -> Any:
    """The members of a job that were asked for."""
    found = type(job)()
    plain(message).read_mask.MergeMessage(plain(job), plain(found))
    return found


_CONTAINER = (
    "a container is a process on this machine with folders of its own, nothing else is private; an interpreter at hand "
    "stands for its image"
)
METHODS = (
    Method(
        _SERVICE,
        "CreateCustomJob",
        lambda emulator, request: emulator.jobs.create(request),
        "aiplatform.customJobs.create",
        named("parent"),
        "submit",
        (
            _CONTAINER,
            "machines are this machine, whatever their type; replicas share it, at the addresses in CLUSTER_SPEC",
            "a replica that is lost takes the whole job with it, whatever restart_job_on_worker_restart says",
            "persistent resources, mounts, reservations, TPU topologies and shells are not emulated",
            "network, key, disk, Tensorboard and experiment are checked for their form and recorded",
            "STORAGE_EMULATOR_HOST and GCE_METADATA_HOST in the container lead to the emulator",
            "/gcs is not there",
            "of packages only those that are not at hand are installed, without what the image has more",
        ),
    ),
    Method(
        _SERVICE,
        "GetCustomJob",
        lambda emulator, request: emulator.jobs.get(request),
        "aiplatform.customJobs.get",
        named("name"),
        "read",
        ("PAUSED, UPDATING, EXPIRED and PARTIALLY_SUCCEEDED are told only where a script says so",),
    ),
    Method(
        _SERVICE,
        "ListCustomJobs",
        lambda emulator, request: emulator.jobs.list(request),
        "aiplatform.customJobs.list",
        named("parent"),
        "read",
    ),
    Method(
        _SERVICE,
        "CancelCustomJob",
        lambda emulator, request: emulator.jobs.cancel(request),
        "aiplatform.customJobs.cancel",
        named("name"),
        "read",
        ("a job that exceeds its timeout ends as one that is cancelled, with the code DEADLINE_EXCEEDED",),
    ),
    Method(
        _SERVICE,
        "DeleteCustomJob",
        lambda emulator, request: emulator.jobs.delete(request),
        "aiplatform.customJobs.delete",
        named("name"),
        "submit",
    ),
)
