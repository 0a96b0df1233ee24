"""Jobs as Azure Machine Learning takes them: one PUT of a command job that names its code and its image.

Code and image are versions of assets, named by their content: whoever knows that they are there sends the job alone.
The job's name is the work's own, so that sending it twice makes one job and shows it as it stands.
"""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

from mlinfra.catalog import azure as catalog
from mlinfra.contract.jobs import ATTEMPT_TAG, ID_TAG, Choice
from mlinfra.contract.requests import Follow, Lookup, Ref, Request
from mlinfra.contract.states import JobState
from mlinfra.errors import CapabilityError
from mlinfra.spec import derive_name
from mlinfra_azure import logs as log_files
from mlinfra_azure.answers import DESCRIBE, POLL
from mlinfra_azure.compute import Compute, compute
from mlinfra_azure.config import DELETE, HISTORY, ML, OPERATIONS, READ, STORE, WRITE, overridden
from mlinfra_azure.places import client_id, console, identity, resource
from mlinfra_azure.render.assets import code_version, image_version
from mlinfra_azure.render.containers import command, inputs, is_brought, outputs, variables

if TYPE_CHECKING:
    from mlinfra.contract.jobs import JobObservation, JobQuery, JobRun
    from mlinfra.contract.requests import Document
    from mlinfra.environment import Environment
    from mlinfra.spec import JobSpec

ENVIRONMENT_TAG = "mlinfra_environment"  # its suffix: a workspace may hold several environments
OPERATION_PAUSE = 2.0  # seconds between two looks at a long-running operation
_ID_DIGITS = 10
_DESCRIPTION = 1_000  # characters


def physical_name(run: JobRun) -> str:
    """`<name>-<ten digits of the work's id>-<attempt>`."""
    return derive_name("job", "azure", run.spec.name, f"{run.id[:_ID_DIGITS]}-{run.attempt}")


def choices(spec: JobSpec, environment: Environment) -> list[Choice]:
    """The machine and the image."""
    chosen = compute(spec, environment)
    image, because = _image(spec, environment)
    return [
        Choice("machine", chosen.title, chosen.reason, count=spec.resources.nodes),
        Choice("image", image, because),
    ]


def submit(run: JobRun, environment: Environment) -> tuple[Request, ...]:
    """The image's version, the code's version, the job. The first two are sent where they are not known to be there.

    A PUT of a job that is there makes no second one; it gives it the tags that the spec has.
    """
    _refuse_what_needs_a_network(run, environment)
    image_id, image = image_version(_image(run.spec, environment)[0], environment)
    code_id, code = code_version(run.bundle, environment)
    name = physical_name(run)
    document: Document = {"properties": _command_job(run, environment, image_id, code_id)}
    create = Request(
        step="create",
        service=ML,
        operation="Jobs_CreateOrUpdate",
        body={"id": name, "body": overridden("Jobs_CreateOrUpdate", document, run.spec, environment)},
        quota=WRITE,
        repeatable=True,
        lookup=Lookup(describe(name, environment)),
        depends_on=(image.step, code.step),
    )
    return image, code, create


def find(query: JobQuery, environment: Environment, token: str | None) -> Request:
    """A page of the environment's jobs. The service narrows by properties, which repeat the tags, and not by time."""
    wanted = {ENVIRONMENT_TAG: environment.suffix, **query.tags, **({ID_TAG: query.id} if query.id else {})}
    body: Document = {
        "jobType": "Command",
        "listViewType": "All",
        "properties": ",".join(f"{name}={value}" for name, value in wanted.items()),
        **({"skip": token} if token else {}),
    }
    return Request(step="find", service=ML, operation="Jobs_List", body=body, effect=False, quota=READ)


def describe(native_id: str, environment: Environment) -> Request:  # noqa: ARG001  the contract's signature
    """One job, with what run history alone tells of its end."""
    return Request(
        step="describe", service=HISTORY, operation=DESCRIBE, body={"id": native_id}, effect=False, quota=READ
    )


def stop(job: JobObservation, environment: Environment) -> Request:  # noqa: ARG001  the contract's signature
    """One cancel: SIGTERM, and SIGKILL after some seconds."""
    return Request(
        step="stop", service=ML, operation="Jobs_Cancel", body={"id": job.native_id}, quota=WRITE, repeatable=True
    )


def delete(job: JobObservation, environment: Environment) -> Request:  # noqa: ARG001  the contract's signature
    """One deletion, a long-running operation; takes jobs that have ended."""
    return Request(
        step="delete",
        service=ML,
        operation="Jobs_Delete",
        body={"id": job.native_id},
        quota=DELETE,
        repeatable=True,
        follow=followed("delete"),
    )


def logs(job: JobObservation, environment: Environment, token: str | None) -> Request:  # noqa: ARG001  as above
    """The next lines of all its nodes."""
    return log_files.read(job.native_id, token)


def metrics(job: JobObservation, environment: Environment) -> tuple[Request, ...]:  # noqa: ARG001  as above
    """The runner's report, which is there once it succeeded; else the printed lines."""
    if job.result is not None and job.state is JobState.SUCCEEDED:
        uri = f"{job.result.uri}/metrics.json"
        return (Request(step="report", service=STORE, operation="Get", body={"uri": uri}, effect=False),)
    return (log_files.read(job.native_id, None),)


def console_url(job: JobObservation, environment: Environment) -> str:
    """The job's page."""
    return console(environment, f"runs/{job.native_id}")


def followed(step: str) -> Follow:
    """How to see the end of the long-running operation that a step began."""
    asked = Request(
        step=f"{step}-operation",
        service=OPERATIONS,
        operation=POLL,
        body={"url": Ref(step, "operation")},
        effect=False,
        quota=READ,
    )
    return Follow(asked, over="done", error="error.message", every=OPERATION_PAUSE)


def _command_job(run: JobRun, environment: Environment, image_id: str, code_id: str) -> Document:
    spec = run.spec
    chosen = compute(spec, environment)
    marks = {**run.tags, ENVIRONMENT_TAG: environment.suffix, ID_TAG: run.id, ATTEMPT_TAG: str(run.attempt)}
    optional: Document = {
        "inputs": inputs(run),
        "outputs": outputs(run),
        "computeId": resource(environment, "computes", chosen.cluster) if chosen.cluster else "",
        "distribution": _distribution(spec),
        "queueSettings": {"jobTier": "Spot"} if spec.resources.spot and not chosen.cluster else {},
    }
    return {
        "jobType": "Command",
        "displayName": spec.name,
        "description": _shown(spec),
        "experimentName": environment.tracking.experiment or spec.name,
        "command": command(run),
        "codeId": code_id,
        "environmentId": image_id,
        "environmentVariables": variables(run, environment),
        "identity": _identity(environment),
        "resources": _resources(spec, chosen),
        "limits": {"jobLimitsType": "Command", "timeout": f"PT{max(1, int(spec.resources.max_runtime))}S"},
        "tags": marks,
        "properties": marks,  # which never change, and by which jobs are listed
        **{member: value for member, value in optional.items() if value},
    }


def _shown(spec: JobSpec) -> str:
    """The user's own command, for people: the job's is the runner's."""
    return (shlex.join(spec.command) if spec.command else str(spec.shell))[:_DESCRIPTION]


def _resources(spec: JobSpec, chosen: Compute) -> Document:
    """A cluster has a size already; without one the service finds machines of the size."""
    size = {"instanceType": chosen.size} if chosen.size else {}
    return {"instanceCount": spec.resources.nodes, **size}


def _distribution(spec: JobSpec) -> Document:
    """One process a node, to which the service tells the first node's address and its own rank."""
    if spec.resources.nodes == 1:
        return {}
    return {"distributionType": "PyTorch", "processCountPerInstance": 1}


def _identity(environment: Environment) -> Document:
    """The managed identity of jobs; its client id too, where the environment tells it."""
    client = client_id(environment, "trainer")
    return {
        "identityType": "Managed",
        "resourceId": identity(environment, "trainer"),
        **({"clientId": client} if client else {}),
    }


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
    return catalog.plain_image(python, environment.registries.get("images", "")), f"Python's own image with {python}"


def _refuse_what_needs_a_network(run: JobRun, environment: Environment) -> None:
    """Without the internet a job still reaches Azure's own services, by the workspace's managed network."""
    if not environment.network.isolated:
        return
    wishes = {
        "tracking": bool(environment.tracking.uri) and not environment.tracking.uri.startswith("azureml://"),
        "python.requirements": bool(run.lock) and run.wheels is None,
        **{f"inputs.{name}": not is_brought(each) for name, each in run.inputs.items()},
    }
    wanted = [wish for wish, is_there in wishes.items() if is_there]
    if wanted:
        raise CapabilityError(
            f"{' and '.join(wanted)} cannot be had where containers have no network",
            given=f"network.isolated of environment {environment.name}",
            todo=f"leave {' and '.join(wanted)} out for this environment, or run in one that is not isolated",
        )
