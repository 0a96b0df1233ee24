"""Azure Machine Learning's command jobs: made, told, listed, cancelled, deleted; and what a script may do to them.

The jobs run for real, each in a thread that leads its processes on the host.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.azure import paging
from mlinfra.emulator.azure.jobs import bindings, checks, computes, machines, states
from mlinfra.emulator.azure.jobs.computes import Computes
from mlinfra.emulator.azure.jobs.job import MUTABLE, Job
from mlinfra.emulator.azure.jobs.run import Run
from mlinfra.emulator.azure.jobs.selection import selected
from mlinfra.emulator.azure.jobs.states import CANCEL_REQUESTED
from mlinfra.emulator.azure.jobs.uris import Uris, asset_id
from mlinfra.emulator.azure.jobs.workspace import Agents
from mlinfra.emulator.azure.names import WORKSPACE, own
from mlinfra.emulator.azure.operations import Operation, Reply, ml
from mlinfra.emulator.azure.wire import refusals
from mlinfra.emulator.jobs.roster import Roster
from mlinfra.errors import UsageError

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from mlinfra.emulator.azure.emulator import AzureEmulator
    from mlinfra.emulator.azure.jobs.computes import Compute
    from mlinfra.emulator.azure.operations import Request
    from mlinfra.emulator.azure.storage.names import Address
    from mlinfra.emulator.progress import Progress

_DEFAULT_EXPERIMENT = "Default"
_IDENTITIES = "/userassignedidentities/"
_MANAGED, _USER = "Managed", "UserIdentity"
_OUTPUT = "azureml://datastores/workspaceblobstore/paths/azureml/${{name}}/${{output_name}}/"
DELAYS = {**states.DELAYS, **computes.DELAYS}


class Jobs(Roster[Job]):
    """The jobs of every workspace, and their clusters.

    Where jobs are `patient` they wait for sizes of machines in `shortages`, as the service lets them, else they fail.
    """

    def __init__(self, emulator: AzureEmulator) -> None:
        super().__init__(emulator.clock, emulator.settings.list_lag)
        self.emulator = emulator
        self.computes: Computes = Computes(emulator)
        self.agents = Agents(emulator)
        self.patient = True
        self._serial = count(1)
        self._numbers = count(1)

    def now(self) -> datetime:
        """The emulator's time as jobs tell it."""
        return self.emulator.clock.now()

    def get(self, name: str) -> Job:
        """A job by its id.

        Raises:
            Refusal: there is none.
        """
        found = self.records.get(name)
        if found is None:
            raise refusals.not_found(f"Job {own(name)} was not found in the workspace.")
        return found

    def preempt(self, name: str) -> None:
        """Take the machines of a job of low priority away; it is queued again. UsageError where it has none."""
        job = self._live(name)
        if not job.spot:
            raise UsageError("only a job of low priority can be preempted", given=name, todo="use the job tier Spot")
        job.wishes.wish("preempt")

    def break_down(self, name: str) -> None:
        """Let a job meet a fault of the service's own; it fails."""
        self._live(name).wishes.wish("break")

    def leftovers(self) -> list[str]:
        """The ids of the jobs that were not deleted."""
        return [job.id for job in self.records.values()]

    # What a run asks

    def room(self, job: Job) -> tuple[Path, str]:
        """A folder that is not there, and a name on the host, for a new attempt."""
        number = next(self._serial)
        return self.emulator.folder / "jobs" / f"{number}", f"job-{job.number}.{number}"

    def artifacts(self, job: Job) -> Address:
        """The folder of a run's own files."""
        return Uris(self.emulator, self.emulator.workspaces.get(job.id)).artifacts(job.name)

    def compute(self, job: Job) -> Compute | None:
        """The cluster that a job runs on; None where that is serverless, or gone."""
        return self.computes.records.get(str(job.asked.get("computeId") or ""))

    def image(self, job: Job) -> str:
        """The image of the job's environment. Refusal where there is none, or would have to be built."""
        properties = self._asset(job.asked["environmentId"]).properties
        if properties.get("build") or properties.get("condaFile"):
            raise refusals.not_emulated("An environment whose image is to be built")
        return str(properties.get("image") or "")

    def code(self, job: Job) -> str:
        """The address of the job's code, empty where it has none."""
        return str(self._asset(job.asked["codeId"]).properties["codeUri"]) if job.asked.get("codeId") else ""

    def has_identity(self, job: Job) -> bool:
        """Whether its machines have a user-assigned identity."""
        found = self.emulator.principals.get(job.principal)
        return bool(found and _IDENTITIES in found.resource_id.lower())

    def run_token(self, job: Job) -> str:
        """What opens a job's run in the run history."""
        return self.agents.token(self.emulator.workspaces.get(job.id))

    # The operations

    def put(self, request: Request) -> Reply:
        """Jobs_CreateOrUpdate. Sent twice it makes one, whose tags and the like it changes."""
        self.emulator.workspaces.get(request.id)
        asked = {name: value for name, value in (request.body.get("properties") or {}).items() if value is not None}
        with self.records.lock:
            found = self.records.get(request.id)
            if found is not None:
                return self._update(found, asked)
            job = self._made(request, asked)
            run = Run(self, job)
            self.records.add(job.id, job)
            answer = Reply(job.told(), 201)
            self.lead(run, f"job {job.name}")
        return answer

    def read(self, request: Request) -> dict[str, Any]:
        """Jobs_Get."""
        return self.get(request.id).told()

    def listed(self, request: Request) -> dict[str, Any]:
        """Jobs_List, the newest first."""
        self.emulator.workspaces.get(request.id)
        found = [job for job in reversed(self.records.listed()) if job.id.startswith(f"{request.id}/")]
        return paging.page(selected(found, request.query), request, key=lambda job: str(job.id), told=Job.told)

    def cancel(self, request: Request) -> Reply:
        """Jobs_Cancel, a long-running operation that is over when the processes have ended."""
        job = self.get(request.resource)
        with job.lock:
            if job.has_ended:
                message = f"The job {job.name} is in the terminal state {job.state} and cannot be canceled."
                raise refusals.user_error(message, "InvalidState")
            if not job.wishes.has("cancel"):
                job.enter(CANCEL_REQUESTED.state, self.now())
                job.wishes.wish("cancel")

        def work(progress: Progress) -> dict[str, Any]:
            while not job.has_ended:
                progress.sleep(0.1)
            return job.told()

        return self.emulator.longrunning.start(request, work)

    def delete(self, request: Request) -> Reply:
        """Jobs_Delete, a long-running operation; of a job that is not there, nothing to do."""
        job = self.records.get(request.id)
        if job is None:
            return Reply(None, 204)
        if not job.has_ended:
            message = f"The job {job.name} is in the state {job.state}. Only jobs that have ended can be deleted."
            raise refusals.conflict(message, "InvalidState")

        def work(progress: Progress) -> None:
            progress.wait("jobs.Deleting")
            self.records.remove(job.id)

        return self.emulator.longrunning.start(request, work, asynchronous=True)

    def _made(self, request: Request, asked: dict[str, Any]) -> Job:
        compute = self._named(request, asked)
        checks.check(own(request.id), asked, compute)
        for member in ("environmentId", "codeId"):
            if asked.get(member):
                asked[member] = self._asset(str(asked[member])).id
        principal = self._principal(request, asked, compute)
        asked = self._completed(own(request.id), asked)
        now = self.now()
        resources = asked.get("resources") or {}
        tier = (asked.get("queueSettings") or {}).get("jobTier")
        return Job(
            request.id,
            asked,
            principal,
            request.principal,
            next(self._numbers),
            now,
            now,
            spot=compute.low_priority if compute else tier == "Spot",
            size=compute.size if compute else str(resources.get("instanceType") or machines.DEFAULT),
        )

    def _completed(self, name: str, asked: dict[str, Any]) -> dict[str, Any]:
        """The service's defaults."""
        base = self.emulator.secure
        outputs = {
            output: {"mode": "ReadWriteMount", **each, "uri": _placed(each.get("uri") or _OUTPUT, name, output)}
            for output, each in (asked.get("outputs") or {}).items()
        }
        services = {
            "Tracking": {"jobServiceType": "Tracking", "endpoint": f"{base}/mlflow", "status": None},
            "Studio": {"jobServiceType": "Studio", "endpoint": f"https://ml.azure.com/runs/{name}", "status": None},
        }
        return {
            "isArchived": False,
            "tags": {},
            "properties": {},
            "inputs": {},
            "environmentVariables": {},
            **asked,
            "displayName": asked.get("displayName") or name,
            "experimentName": asked.get("experimentName") or _DEFAULT_EXPERIMENT,
            "identity": asked.get("identity") or {"identityType": "AMLToken"},
            "outputs": outputs,
            "services": services,
        }

    def _update(self, job: Job, asked: dict[str, Any]) -> Reply:
        checks.check_update(job, asked)
        with job.lock:
            changes = {name: value for name, value in asked.items() if name in MUTABLE - {"properties", "services"}}
            properties = {**job.asked["properties"], **(asked.get("properties") or {})}
            job.asked = {**job.asked, **changes, "properties": properties}
            job.modified = self.now()
            return Reply(job.told(), 200)

    def _named(self, request: Request, asked: dict[str, Any]) -> Compute | None:
        """The cluster that a job names; None for serverless compute."""
        named = str(asked.get("computeId") or "")
        if not named:
            return None
        found = self.computes.get(self.emulator.arm.routes.resource_id(named))
        if not found.id.startswith(request.id.rpartition("/jobs/")[0] + "/"):
            raise refusals.not_found(f"Compute {own(named)} was not found in the workspace.")
        asked["computeId"] = found.id
        return found

    def _principal(self, request: Request, asked: dict[str, Any], compute: Compute | None) -> str:
        """In whose name the job reads, writes, and asks for tokens.

        The identity that it names; who submits it, where it says so; else the cluster's own, or the workspace's.
        """
        identity = asked.get("identity") or {}
        kind = identity.get("identityType")
        if kind == _USER:
            return request.principal
        named = [identity[name] for name in ("resourceId", "clientId", "objectId") if identity.get(name)]
        if kind == _MANAGED and named:
            found = self.emulator.principals.find(str(named[0]))
            resource = found.resource_id if found and found.resource_id else str(named[0])
            return self.emulator.assign(request, resource)
        for resource in compute.identities if compute else ():
            found = self.emulator.principals.find(resource)
            if found:
                return found.object_id
        return self.agents.of(self.emulator.workspaces.get(request.id))

    def _asset(self, name: str) -> Any:
        return self.emulator.assets.version(asset_id(self.emulator, name))

    def _live(self, name: str) -> Job:
        job = self.records.get(name if name.startswith("/") else self.emulator.place.child("jobs", name))
        if job is None or job.has_ended:
            raise UsageError("no job of that name is running", given=name)
        return job


def _placed(uri: str, name: str, output: str) -> str:
    """An output's address, with what stands for the expressions that it may hold."""
    values = {"name": name, "output_name": output, "default_datastore": "workspaceblobstore"}
    return bindings.substituted(uri, values)


_JOBS, _JOB = f"{WORKSPACE}/jobs", f"{WORKSPACE}/jobs/{{id}}"
OPERATIONS = (
    Operation(
        "Jobs_CreateOrUpdate",
        "PUT",
        _JOB,
        lambda emulator, request: emulator.jobs.put(request),
        ml("workspaces/jobs/write"),
        differences=(
            "command jobs alone",
            "a container is a process on this machine; an interpreter at hand stands for its image, none is built",
            "nodes are this machine, whatever their size; without a distribution the command runs on the first alone",
            "mounts are folders: brought before the job runs, taken away when it has ended, but for what it deleted",
            "variables lead to the emulator: SSL_CERT_FILE, REQUESTS_CA_BUNDLE, AZURE_AUTHORITY_HOST",
            "the subscription's quota of cores is met only where a script says so",
            "interactive services, docker arguments, shared memory and priorities are recorded",
        ),
    ),
    Operation(
        "Jobs_Get",
        "GET",
        _JOB,
        lambda emulator, request: emulator.jobs.read(request),
        ml("workspaces/jobs/read"),
        differences=(
            "NotResponding and Paused are told only where a script says so",
            "the output `default`, which some workspaces tell, is not",
        ),
    ),
    Operation(
        "Jobs_List",
        "GET",
        _JOBS,
        lambda emulator, request: emulator.jobs.listed(request),
        ml("workspaces/jobs/read"),
    ),
    Operation(
        "Jobs_Cancel",
        "POST",
        f"{_JOB}/cancel",
        lambda emulator, request: emulator.jobs.cancel(request),
        ml("workspaces/jobs/cancel/action"),
    ),
    Operation(
        "Jobs_Delete",
        "DELETE",
        _JOB,
        lambda emulator, request: emulator.jobs.delete(request),
        ml("workspaces/jobs/delete"),
        differences=("the run's files stay in the storage account",),
    ),
    *computes.OPERATIONS,
)
