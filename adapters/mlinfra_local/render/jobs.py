"""Jobs as the host takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.contract.jobs import ATTEMPT_TAG, ID_TAG, Choice
from mlinfra.contract.manifest import manifest_variables
from mlinfra.contract.requests import Lookup, Request
from mlinfra.spec import derive_name
from mlinfra_local.config import SERVICE, overridden, root, store_key

if TYPE_CHECKING:
    from mlinfra.contract.jobs import Artefact, JobObservation, JobQuery, JobRun
    from mlinfra.contract.requests import Document
    from mlinfra.environment import Environment
    from mlinfra.spec import JobSpec

BUCKET = "artefacts"
STOP_GRACE = 30.0  # seconds; what SageMaker and Vertex AI give at least
_MANIFEST_LENGTH = 100_000  # characters of one variable; Linux takes 131,071
_ID_DIGITS = 10
_PAGE = 1000


def physical_name(run: JobRun) -> str:
    """`<name>-<ten digits of the work's id>-<attempt>`."""
    return derive_name("job", "local", run.spec.name, f"{run.id[:_ID_DIGITS]}-{run.attempt}")


def choices(spec: JobSpec, environment: Environment) -> list[Choice]:  # noqa: ARG001  this machine is the same for all
    """This machine, and the interpreter that the host will look for."""
    asked = spec.image or (f"Python {spec.python.version}" if spec.python and spec.python.version else "")
    return [
        Choice("machine", "this machine", "platform local has no other", count=spec.resources.nodes, price="nothing"),
        Choice("interpreter", asked or "the kit's own", "asked for" if asked else "the job asks for none"),
    ]


def submit(run: JobRun, environment: Environment) -> tuple[Request, ...]:
    """One CreateJob. The name is the work's own, so sending it twice makes one job."""
    name = physical_name(run)
    body = overridden("CreateJob", _create_job(run, environment, name), run.spec)
    create = Request(
        step="create",
        service=SERVICE,
        operation="CreateJob",
        body=body,
        repeatable=True,
        lookup=Lookup(describe(name, environment)),
    )
    return (create,)


def find(query: JobQuery, environment: Environment, token: str | None) -> Request:  # noqa: ARG001  one host, one list
    """A page of jobs by tag; jobs of other tools on this host carry no id of ours."""
    tags = {**query.tags, **({ID_TAG: query.id} if query.id else {})}
    body: Document = {"tags": tags, "page_size": min(query.page_size, _PAGE)}
    if query.updated_after:
        body["updated_after"] = query.updated_after.isoformat()
    if token:
        body["page_token"] = token
    return Request(step="find", service=SERVICE, operation="ListJobs", body=body, effect=False)


def describe(native_id: str, environment: Environment) -> Request:  # noqa: ARG001  one host, one list
    """One job."""
    return Request(step="describe", service=SERVICE, operation="DescribeJob", body={"name": native_id}, effect=False)


def stop(job: JobObservation, environment: Environment) -> Request:  # noqa: ARG001  one host, one list
    """Ask it to stop."""
    return Request(step="stop", service=SERVICE, operation="StopJob", body={"name": job.native_id}, repeatable=True)


def delete(job: JobObservation, environment: Environment) -> Request:  # noqa: ARG001  one host, one list
    """Remove it from the host."""
    return Request(step="delete", service=SERVICE, operation="DeleteJob", body={"name": job.native_id}, repeatable=True)


def logs(job: JobObservation, environment: Environment, token: str | None) -> Request:  # noqa: ARG001  one host, one list
    """The next lines."""
    body: Document = {"name": job.native_id, **({"token": token} if token else {})}
    return Request(step="logs", service=SERVICE, operation="GetJobLogs", body=body, effect=False)


def metrics(job: JobObservation, environment: Environment) -> tuple[Request, ...]:  # noqa: ARG001  one host, one list
    """Every logged value."""
    body: Document = {"name": job.native_id, "limit": 10_000}
    return (Request(step="metrics", service=SERVICE, operation="GetJobMetrics", body=body, effect=False),)


def console_url(job: JobObservation, environment: Environment) -> str:
    """The folder in which the job ran."""
    return f"file://{root(environment)}/jobs/{job.native_id}"


def _create_job(run: JobRun, environment: Environment, name: str) -> Document:
    spec = run.spec
    outputs = f"{root(environment)}/outputs/{name}"
    body: Document = {
        "name": name,
        "bundle": f"{root(environment)}/buckets/{BUCKET}/{store_key(environment, BUCKET, run.bundle.uri)}",
        "env": manifest_variables(_manifest(run, outputs), length=_MANIFEST_LENGTH, count=1),
        "tags": {**run.tags, ID_TAG: run.id, ATTEMPT_TAG: str(run.attempt)},
        "interpreter": _interpreter(run),
        "nodes": spec.resources.nodes,
        "max_runtime": float(spec.resources.max_runtime),
        "stop_grace": STOP_GRACE,
        "retries": {"infrastructure": spec.retries.infrastructure, "user": 0},  # the runner does the user's own
        "collect": [
            {
                "folder": f"{outputs}/{output}",
                "bucket": BUCKET,
                "prefix": store_key(environment, BUCKET, artefact.uri),
            }
            for output, artefact in run.outputs.items()
        ],
    }
    if spec.resources.memory:
        body["memory"] = int(spec.resources.memory)
    if spec.resources.cpu:
        body["cpu"] = float(spec.resources.cpu)
    if spec.checkpoint:
        body["checkpoint"] = f"{root(environment)}/checkpoints/{run.id}"
    return body


def _manifest(run: JobRun, outputs: str) -> Document:
    return {
        **run.manifest,
        "inputs": {name: _input(artefact) for name, artefact in run.inputs.items()},
        "outputs": {
            name: {"type": output.type, "path": f"{outputs}/{name}"} for name, output in run.spec.outputs.items()
        },
    }


def _input(artefact: Artefact) -> Document:
    """The runner copies it, so that a script which writes into its input harms nobody, and compares a file's digest."""
    digest = {"digest": artefact.digest} if artefact.digest and not artefact.is_folder else {}
    return {"uri": artefact.uri, **digest}


def _interpreter(run: JobRun) -> Document:
    if run.spec.image:
        return {"image": run.spec.image}
    python = run.spec.python.version if run.spec.python else None
    return {"python": python, "requirements_lock": run.lock}
