"""Jobs as SageMaker takes them: one CreateTrainingJob that carries everything.

The platform moves the bytes (channels in, outputs and checkpoints out), so that a job runs unchanged without a
network.
"""

from __future__ import annotations

import json
import re
import sys
from datetime import UTC
from typing import TYPE_CHECKING

from mlinfra.catalog import aws as catalog
from mlinfra.catalog.aws.addresses import TRAINING_LOGS
from mlinfra.contract.jobs import ATTEMPT_TAG, ID_TAG, Choice
from mlinfra.contract.locations import store_base
from mlinfra.contract.requests import Lookup, Request
from mlinfra.contract.states import JobState
from mlinfra.errors import CapabilityError
from mlinfra.spec import derive_name
from mlinfra_aws import logs as log_streams
from mlinfra_aws.config import CREATE_JOB, READ, SAGEMAKER, STORE, WRITE, overridden, tag_list
from mlinfra_aws.places import console, kms_key, role
from mlinfra_aws.render.containers import BUNDLE, CHANNELS, CHECKPOINTS, CODE, channels, is_brought, variables

if TYPE_CHECKING:
    from mlinfra.catalog.machines import Fit
    from mlinfra.contract.jobs import JobObservation, JobQuery, JobRun
    from mlinfra.contract.requests import Document
    from mlinfra.environment import Environment
    from mlinfra.spec import JobSpec

ENVIRONMENT_TAG = "mlinfra_environment"  # its suffix: an account may hold several environments
METRIC_WORD = "mlinfra-metric"  # begins the lines that `mlinfra.log_metric` prints
DISK = 30  # GiB, what SageMaker's own SDK asks for
_ID_DIGITS = 10
_PAGE = 100
_GIB = 1 << 30
_LONGEST_PARAMETER = 2_500  # characters of one hyperparameter, and how many, API description
_MOST_PARAMETERS = 100
_MOST_METRICS = 40
_MOST_PREFERENCES = 3  # machine types to fall back on; the API takes five
_LEAST_WAIT = 3_600  # seconds that a spot job waits for capacity at least


def physical_name(run: JobRun) -> str:
    """`<name>-<ten digits of the work's id>-<attempt>`."""
    return derive_name("job", "aws", run.spec.name, f"{run.id[:_ID_DIGITS]}-{run.attempt}")


def choices(spec: JobSpec, environment: Environment) -> list[Choice]:
    """The machine and the image."""
    fit = _machine(spec)
    image, because = _image(spec, environment)
    reason = fit.reason
    if others := _preferences(spec, environment, fit)[1:]:
        reason += f"; without capacity {' or '.join(others)}"
    return [
        Choice("machine", str(fit.machine), reason, count=spec.resources.nodes),
        Choice("image", image, because),
    ]


def submit(run: JobRun, environment: Environment) -> tuple[Request, ...]:
    """One CreateTrainingJob. The name is the work's own, so that sending it twice makes one job."""
    _refuse_what_needs_a_network(run, environment)
    name = physical_name(run)
    body = overridden("CreateTrainingJob", _create_job(run, environment, name), run.spec, environment)
    create = Request(
        step="create",
        service=SAGEMAKER,
        operation="CreateTrainingJob",
        body=body,
        quota=CREATE_JOB,
        repeatable=True,
        lookup=Lookup(describe(name, environment)),
    )
    return (create,)


def find(query: JobQuery, environment: Environment, token: str | None) -> Request:
    """A page of Search, the one call that tells states and tags together."""
    tags = {ENVIRONMENT_TAG: environment.suffix, **query.tags, **({ID_TAG: query.id} if query.id else {})}
    filters = [{"Name": f"Tags.{key}", "Operator": "Equals", "Value": value} for key, value in tags.items()]
    if query.updated_after:
        since = query.updated_after.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
        filters.append({"Name": "LastModifiedTime", "Operator": "GreaterThanOrEqualTo", "Value": since})
    body: Document = {
        "Resource": "TrainingJob",
        "SearchExpression": {"Filters": filters},
        "SortBy": "CreationTime",
        "SortOrder": "Descending",
        "MaxResults": min(query.page_size, _PAGE),
        **({"NextToken": token} if token else {}),
    }
    return Request(step="find", service=SAGEMAKER, operation="Search", body=body, effect=False, quota=READ)


def describe(native_id: str, environment: Environment) -> Request:  # noqa: ARG001  the contract's signature
    """One DescribeTrainingJob."""
    return Request(
        step="describe",
        service=SAGEMAKER,
        operation="DescribeTrainingJob",
        body={"TrainingJobName": native_id},
        effect=False,
        quota=READ,
    )


def stop(job: JobObservation, environment: Environment) -> Request:  # noqa: ARG001  the contract's signature
    """One StopTrainingJob: SIGTERM, and 120 seconds to end."""
    return _change("stop", "StopTrainingJob", job)


def delete(job: JobObservation, environment: Environment) -> Request:  # noqa: ARG001  the contract's signature
    """One DeleteTrainingJob; takes jobs that have ended."""
    return _change("delete", "DeleteTrainingJob", job)


def logs(job: JobObservation, environment: Environment, token: str | None) -> Request:  # noqa: ARG001  one group for all
    """The next lines of all its nodes."""
    return log_streams.read(TRAINING_LOGS, f"{job.native_id}/", token)


def metrics(job: JobObservation, environment: Environment) -> tuple[Request, ...]:  # noqa: ARG001  the contract's signature
    """The runner's report, which is there once it succeeded; else the printed lines."""
    if job.result is not None and job.state is JobState.SUCCEEDED:
        uri = f"{job.result.uri}/metrics.json"
        return (Request(step="report", service=STORE, operation="Get", body={"uri": uri}, effect=False),)
    return (log_streams.read(TRAINING_LOGS, f"{job.native_id}/", None, pattern=f'"{METRIC_WORD}"'),)


def console_url(job: JobObservation, environment: Environment) -> str:
    """The job's page."""
    return console(environment, f"jobs/{job.native_id}")


def _change(step: str, operation: str, job: JobObservation) -> Request:
    body: Document = {"TrainingJobName": job.native_id}
    return Request(step=step, service=SAGEMAKER, operation=operation, body=body, quota=WRITE, repeatable=True)


def _create_job(run: JobRun, environment: Environment, name: str) -> Document:
    spec = run.spec
    optional: Document = {
        "HyperParameters": _parameters(spec),
        "VpcConfig": _network(environment),
        "CheckpointConfig": _checkpoint(run, environment),
        "EnableNetworkIsolation": environment.network.isolated,
        "EnableInterContainerTrafficEncryption": spec.resources.nodes > 1 and environment.stage != "dev",
        "EnableManagedSpotTraining": spec.resources.spot,
        "RetryStrategy": _retries(spec),
    }
    return {
        "TrainingJobName": name,
        "RoleArn": role(environment, "trainer"),
        "AlgorithmSpecification": _algorithm(spec, environment),
        "InputDataConfig": channels(run),
        "OutputDataConfig": _output(run, environment),
        "ResourceConfig": _machines(spec, environment),
        "StoppingCondition": _limits(spec),
        "Environment": variables(run, environment),
        "Tags": tag_list(
            {**run.tags, ENVIRONMENT_TAG: environment.suffix, ID_TAG: run.id, ATTEMPT_TAG: str(run.attempt)}
        ),
        **{member: value for member, value in optional.items() if value},
    }


def _algorithm(spec: JobSpec, environment: Environment) -> Document:
    metrics = [{"Name": name, "Regex": _expression(name)} for name in list(spec.metrics)[:_MOST_METRICS]]
    return {
        "TrainingImage": _image(spec, environment)[0],
        "TrainingInputMode": "File",
        "ContainerEntrypoint": ["python3", f"{CHANNELS}/{CODE}/{BUNDLE}"],
        **({"MetricDefinitions": metrics} if metrics else {}),
    }


def _expression(metric: str) -> str:
    """Finds the value in a line of `mlinfra.log_metric`."""
    return rf"{METRIC_WORD} name={re.escape(metric)} value=(\S+)"


def _output(run: JobRun, environment: Environment) -> Document:
    """Uncompressed, so that outputs are objects of their own: registered and fetched without unpacking anything."""
    key = kms_key(environment)
    return {
        "S3OutputPath": run.result.uri.rpartition("/")[0],
        "CompressionType": "NONE",
        **({"KmsKeyId": key} if key else {}),
    }


def _machines(spec: JobSpec, environment: Environment) -> Document:
    fit = _machine(spec)
    preferred = _preferences(spec, environment, fit)
    config: Document = {
        "InstanceCount": spec.resources.nodes,
        "VolumeSizeInGB": max(1, -(-int(spec.resources.disk) // _GIB)) if spec.resources.disk else DISK,
    }
    if len(preferred) > 1:
        config["InstancePreferences"] = [{"InstanceType": name} for name in preferred]
    else:
        config["InstanceType"] = fit.machine.name
    volume_key = environment.keys.get("volume") or kms_key(environment)
    if volume_key and not fit.machine.local_disk:  # local disks are encrypted by their hardware and take no key
        config["VolumeKmsKeyId"] = volume_key
    warm = _warm_pool(environment)
    if warm and not spec.resources.spot:  # managed spot training keeps nothing warm
        config["KeepAlivePeriodInSeconds"] = warm
    return config


def _machine(spec: JobSpec) -> Fit:
    return catalog.choose(spec.resources, "training", spec.machine.get("aws"))


def _preferences(spec: JobSpec, environment: Environment, fit: Fit) -> list[str]:
    """Machine types in the order in which they are tried: with accelerators, which are scarce, as many of the same.

    InstancePreferences excludes spot and, since a warm pool is of one type, is not used beside one.
    """
    alone = spec.machine.get("aws") or spec.resources.spot or _warm_pool(environment) or not fit.machine.accelerators
    alike = [] if alone else [each for each in fit.others if each.accelerators == fit.machine.accelerators]
    return [each.name for each in (fit.machine, *alike)][:_MOST_PREFERENCES]


def _warm_pool(environment: Environment) -> int:
    seconds: int = getattr(environment, "warm_pool_seconds", 0)
    return seconds


def _image(spec: JobSpec, environment: Environment) -> tuple[str, str]:
    """The job's own image, the environment's where its Python is the one asked for, else the vendor's newest."""
    if spec.image:
        return spec.image, "asked for"
    asked = spec.python.version if spec.python and spec.python.version else ""
    gpu = spec.resources.accelerator is not None
    for name in ("gpu", "runner", "base") if gpu else ("runner", "base"):
        known = environment.images.get(name)
        if known is not None and (not asked or known.python in {"", asked}):
            return known.uri, f"the environment's image {name}"
    python = asked or f"{sys.version_info.major}.{sys.version_info.minor}"
    return catalog.framework_image(python, environment.region, gpu=gpu), f"AWS's newest with Python {python}"


def _limits(spec: JobSpec) -> Document:
    runtime = max(1, int(spec.resources.max_runtime))
    if not spec.resources.spot:
        return {"MaxRuntimeInSeconds": runtime}
    return {"MaxRuntimeInSeconds": runtime, "MaxWaitTimeInSeconds": runtime + max(runtime, _LEAST_WAIT)}


def _retries(spec: JobSpec) -> Document:
    attempts = spec.retries.infrastructure
    return {"MaximumRetryAttempts": attempts} if attempts else {}


def _parameters(spec: JobSpec) -> dict[str, str]:
    """Shown in the console and searched by; the runner reads back what a tuner changes in them."""
    texts = {name: json.dumps(value) for name, value in spec.params.items()}
    return dict([(name, text) for name, text in texts.items() if len(text) <= _LONGEST_PARAMETER][:_MOST_PARAMETERS])


def _network(environment: Environment) -> Document:
    network = environment.network
    if not network.subnets:
        return {}
    return {"SecurityGroupIds": list(network.security_groups), "Subnets": list(network.subnets)}


def _checkpoint(run: JobRun, environment: Environment) -> Document:
    """Under the work's id: the next attempt goes on where the last one was interrupted."""
    if not run.spec.checkpoint:
        return {}
    return {"S3Uri": f"{store_base(environment)}/checkpoints/{run.id}", "LocalPath": CHECKPOINTS}


def _refuse_what_needs_a_network(run: JobRun, environment: Environment) -> None:
    if not environment.network.isolated:
        return
    wishes = {
        "secrets": bool(run.spec.secrets),
        "tracking": bool(environment.tracking.uri),
        "python.requirements": bool(run.lock) and run.wheels is None,
        **{f"inputs.{name}": not is_brought(artefact) for name, artefact in run.inputs.items()},
    }
    wanted = [wish for wish, is_there in wishes.items() if is_there]
    if wanted:
        raise CapabilityError(
            f"{' and '.join(wanted)} cannot be had where containers have no network",
            given=f"network.isolated of environment {environment.name}",
            todo=f"leave {' and '.join(wanted)} out for this environment, or run in one that is not isolated",
        )
