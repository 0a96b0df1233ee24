"""Jobs as Vertex AI takes them: one CreateCustomJob that carries everything.

It takes no name and no request id, so the job is known by its labels, and looked for by them before it is sent again.
"""

from __future__ import annotations

import sys
from datetime import UTC
from typing import TYPE_CHECKING

from mlinfra.catalog import gcp as catalog
from mlinfra.contract.jobs import Choice, JobQuery
from mlinfra.contract.requests import Follow, Lookup, Ref, Request
from mlinfra.contract.states import JobState
from mlinfra.errors import CapabilityError
from mlinfra.spec import derive_name
from mlinfra_gcp import labels
from mlinfra_gcp import logs as log_entries
from mlinfra_gcp.config import CRUD, JOBS, OPERATIONS, STORE, SUBMIT, overridden
from mlinfra_gcp.places import console, kms_key, parent, resource, service_account
from mlinfra_gcp.render.containers import command, variables

if TYPE_CHECKING:
    from mlinfra.catalog.machines import Fit
    from mlinfra.contract.jobs import JobObservation, JobRun
    from mlinfra.contract.requests import Document
    from mlinfra.environment import Environment
    from mlinfra.spec import JobSpec

COLLECTION = "customJobs"
METRIC_WORD = "mlinfra-metric"  # begins the lines that `mlinfra.log_metric` prints
DISK = 100  # GB, the service's own and its least (API description)
OPERATION_PAUSE = 1.0  # seconds between two looks at a long-running operation
_ID_DIGITS = 10
_PAGE = 100
_GB = 10**9
_TIME = "%Y-%m-%dT%H:%M:%SZ"  # to the second before


def physical_name(run: JobRun) -> str:
    """`<name>-<ten digits of the work's id>-<attempt>`, for people: the service gives each job a number."""
    return derive_name("job", "gcp", run.spec.name, f"{run.id[:_ID_DIGITS]}-{run.attempt}")


def choices(spec: JobSpec, environment: Environment) -> list[Choice]:
    """The machine and the image."""
    fit = _machine(spec)
    image, because = _image(spec, environment)
    return [
        Choice("machine", str(fit.machine), fit.reason, count=spec.resources.nodes),
        Choice("image", image, because),
    ]


def submit(run: JobRun, environment: Environment) -> tuple[Request, ...]:
    """One CreateCustomJob. Sending it twice makes two: it is looked for by its labels instead."""
    _refuse_what_needs_a_network(run, environment)
    body = overridden("CreateCustomJob", _create_job(run, environment), run.spec, environment)
    mine = JobQuery(id=run.id, tags={labels.ATTEMPT: str(run.attempt)}, page_size=2)
    create = Request(
        step="create",
        service=JOBS,
        operation="CreateCustomJob",
        body=body,
        quota=SUBMIT,
        lookup=Lookup(find(mine, environment, None), COLLECTION),
    )
    return (create,)


def find(query: JobQuery, environment: Environment, token: str | None) -> Request:
    """A page of the environment's jobs. The service narrows by label and by creation, not by the last change."""
    marks = {labels.ENVIRONMENT: environment.suffix, **labels.fitting(query.tags)}
    if query.id:
        marks[labels.ID] = query.id
    chosen = [labels.selects(marks)]
    if query.created_after:
        chosen.append(f'create_time>="{query.created_after.astimezone(UTC).strftime(_TIME)}"')
    body: Document = {
        "parent": parent(environment),
        "filter": " AND ".join(chosen),
        "pageSize": min(query.page_size, _PAGE),
        **({"pageToken": token} if token else {}),
    }
    return Request(step="find", service=JOBS, operation="ListCustomJobs", body=body, effect=False, quota=CRUD)


def describe(native_id: str, environment: Environment) -> Request:
    """One GetCustomJob."""
    body: Document = {"name": resource(environment, COLLECTION, native_id)}
    return Request(step="describe", service=JOBS, operation="GetCustomJob", body=body, effect=False, quota=CRUD)


def stop(job: JobObservation, environment: Environment) -> Request:
    """One CancelCustomJob: the service tries to end it, and answers at once."""
    body: Document = {"name": resource(environment, COLLECTION, job.native_id)}
    return Request(step="stop", service=JOBS, operation="CancelCustomJob", body=body, quota=CRUD, repeatable=True)


def delete(job: JobObservation, environment: Environment) -> Request:
    """One DeleteCustomJob, a long-running operation; takes jobs that have ended."""
    return Request(
        step="delete",
        service=JOBS,
        operation="DeleteCustomJob",
        body={"name": resource(environment, COLLECTION, job.native_id)},
        quota=SUBMIT,
        repeatable=True,
        follow=followed("delete"),
    )


def logs(job: JobObservation, environment: Environment, token: str | None) -> Request:
    """The next lines of all its nodes."""
    since = job.created.isoformat().replace("+00:00", "Z") if job.created else ""
    chosen = log_entries.of(log_entries.JOB, job_id=job.native_id)
    return log_entries.read(environment.account, chosen, token, since=since)


def metrics(job: JobObservation, environment: Environment) -> tuple[Request, ...]:
    """The runner's report, which is there once it succeeded; else the printed lines."""
    if job.result is not None and job.state is JobState.SUCCEEDED:
        uri = f"{job.result.uri}/metrics.json"
        return (Request(step="report", service=STORE, operation="Get", body={"uri": uri}, effect=False),)
    chosen = log_entries.of(log_entries.JOB, job_id=job.native_id)
    lines = f'{chosen} AND (textPayload:"{METRIC_WORD}" OR jsonPayload.message:"{METRIC_WORD}")'
    return (log_entries.read(environment.account, lines, None),)


def console_url(job: JobObservation, environment: Environment) -> str:
    """The job's page."""
    return console(environment, f"locations/{environment.region}/training/{job.native_id}")


def followed(step: str) -> Follow:
    """How to see the end of the long-running operation that a step began."""
    asked = Request(
        step=f"{step}-operation",
        service=OPERATIONS,
        operation="GetOperation",
        body={"name": Ref(step, "name")},
        effect=False,
        quota=CRUD,
    )
    return Follow(asked, over="done", error="error.message", every=OPERATION_PAUSE)


def _create_job(run: JobRun, environment: Environment) -> Document:
    key = kms_key(environment, "volume")
    marks = {labels.ID: run.id, labels.ATTEMPT: str(run.attempt)}
    return {
        "parent": parent(environment),
        "customJob": {
            "displayName": physical_name(run),
            "labels": labels.labels(environment, run.tags, **marks),
            "jobSpec": _job_spec(run, environment),
            **({"encryptionSpec": {"kmsKeyName": key}} if key else {}),
        },
    }


def _job_spec(run: JobRun, environment: Environment) -> Document:
    optional: Document = {
        **_network(environment),
        "tensorboard": getattr(environment, "tensorboard", ""),
        "experiment": _experiment(environment),
    }
    return {
        "workerPoolSpecs": _pools(run, environment),
        "scheduling": _scheduling(run.spec),
        "serviceAccount": service_account(environment, "trainer"),
        "baseOutputDirectory": {"outputUriPrefix": run.result.uri.rpartition("/")[0]},
        **{member: value for member, value in optional.items() if value},
    }


def _pools(run: JobRun, environment: Environment) -> list[Document]:
    """The first machine alone in pool 0, the others in pool 1 (the service's guide on distributed training)."""
    nodes = run.spec.resources.nodes
    return [_pool(run, environment, count) for count in ((1, nodes - 1) if nodes > 1 else (1,))]


def _pool(run: JobRun, environment: Environment, count: int) -> Document:
    disk = run.spec.resources.disk
    return {
        "machineSpec": catalog.machine_spec(_machine(run.spec).machine),
        "replicaCount": count,
        "diskSpec": {"bootDiskSizeGb": max(DISK, -(-int(disk) // _GB)) if disk else DISK},
        "containerSpec": {
            "imageUri": _image(run.spec, environment)[0],
            **command(run),
            "env": variables(run, environment),
        },
    }


def _scheduling(spec: JobSpec) -> Document:
    """The time limit counts while the job runs. A lost worker of several takes the others with it."""
    return {
        "timeout": f"{max(1, int(spec.resources.max_runtime))}s",
        **({"strategy": "SPOT"} if spec.resources.spot else {}),
        **({"restartJobOnWorkerRestart": True} if spec.resources.nodes > 1 and spec.retries.infrastructure else {}),
        **({"disableRetries": True} if not spec.retries.infrastructure else {}),
    }


def _network(environment: Environment) -> Document:
    """The peered network, by the project's number where it is known; or the attachment that a stack made."""
    attachment = str(environment.native.get("network_attachment", ""))
    if attachment:
        return {"pscInterfaceConfig": {"networkAttachment": attachment}}
    name = environment.network.id
    if not name or name.startswith("projects/"):
        return {"network": name}
    project = environment.native.get("project_number", environment.account)
    return {"network": f"projects/{project}/global/networks/{name}"}


def _experiment(environment: Environment) -> str:
    tracking = environment.tracking
    if tracking.kind != "native" or not tracking.experiment:
        return ""
    return f"{parent(environment)}/metadataStores/default/contexts/{tracking.experiment}"


def _machine(spec: JobSpec) -> Fit:
    return catalog.choose(spec.resources, "training", spec.machine.get("gcp"))


def _image(spec: JobSpec, environment: Environment) -> tuple[str, str]:
    """The job's own image, the environment's where its Python is the one asked for, else a plain public one."""
    if spec.image:
        return spec.image, "asked for"
    asked = spec.python.version if spec.python and spec.python.version else ""
    gpu = spec.resources.accelerator is not None
    for name in ("gpu", "runner", "base") if gpu else ("runner", "base"):
        known = environment.images.get(name)
        if known is not None and (not asked or known.python in {"", asked}):
            return known.uri, f"the environment's image {name}"
    python = asked or f"{sys.version_info.major}.{sys.version_info.minor}"
    registry = environment.registries.get("remote", "")
    return catalog.plain_image(python, registry), f"Python's own image with {python}"


def _refuse_what_needs_a_network(run: JobRun, environment: Environment) -> None:
    """Without the internet a job still reaches Google's services, by the network that the environment names."""
    if not environment.network.isolated:
        return
    if not (environment.network.id or environment.native.get("network_attachment")):
        raise CapabilityError(
            "a job on Vertex AI is kept from the internet by its network alone",
            given=f"network.isolated of environment {environment.name}, which names no network",
            todo="name a peered network without a way out: network.id",
        )
    wishes = {
        "tracking": bool(environment.tracking.uri),
        "python.requirements": bool(run.lock) and run.wheels is None,
        **{f"inputs.{name}": not each.uri.startswith("gs://") for name, each in run.inputs.items()},
    }
    wanted = [wish for wish, is_there in wishes.items() if is_there]
    if wanted:
        raise CapabilityError(
            f"{' and '.join(wanted)} cannot be had where containers have no network",
            given=f"network.isolated of environment {environment.name}",
            todo=f"leave {' and '.join(wanted)} out for this environment, or run in one that is not isolated",
        )
