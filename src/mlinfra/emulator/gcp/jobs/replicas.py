"""The replicas of a job: one process each here, and the variables in which each finds itself and the others.

By Vertex AI's documentation "Custom container requirements" for `AIP_*` and `CLOUD_ML_*`, and "Distributed training"
for `CLUSTER_SPEC` and `TF_CONFIG`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from mlinfra.emulator.gcp.wire.messages import as_document

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from google.cloud.aiplatform_v1.types import CustomJob, CustomJobSpec, WorkerPoolSpec

_FIRST_ADDRESS = 2  # workerpool0-0 is 127.0.0.2: each an address of its own, apart from this machine's own services
_TF_ROLES = ("chief", "worker", "ps", "evaluator")


class Task(NamedTuple):
    """What a replica runs: a command of its own, or a module of packages that are installed first."""

    image: str
    command: tuple[str, ...]
    args: tuple[str, ...]
    variables: Mapping[str, str]
    packages: tuple[str, ...] = ()
    module: str = ""


class Replica(NamedTuple):
    """One machine of a worker pool."""

    pool: int
    number: int  # within its pool
    rank: int  # over all pools
    machine: str
    task: Task

    @property
    def tag(self) -> str:
        """Its name, as logs and errors tell it."""
        return f"workerpool{self.pool}-{self.number}"

    @property
    def host(self) -> str:
        """Its address on this machine."""
        return f"127.0.0.{_FIRST_ADDRESS + self.rank}"


def of(spec: CustomJobSpec) -> list[Replica]:
    """Every replica of a job, the primary first."""
    found: list[Replica] = []
    for number, pool in enumerate(spec.worker_pool_specs):
        for index in range(pool.replica_count):
            found.append(Replica(number, index, len(found), pool.machine_spec.machine_type, task_of(pool)))
    return found


def task_of(pool: WorkerPoolSpec) -> Task:
    """What the replicas of a pool run."""
    package = pool.python_package_spec
    if "python_package_spec" in pool:
        told = {each.name: each.value for each in package.env}
        packages = tuple(package.package_uris)
        return Task(package.executor_image_uri, (), tuple(package.args), told, packages, package.python_module)
    container = pool.container_spec
    told = {each.name: each.value for each in container.env}
    return Task(container.image_uri, tuple(container.command), tuple(container.args), told)


def variables(
    job: CustomJob, replica: Replica, replicas: Sequence[Replica], ports: Sequence[int], project_number: str
) -> dict[str, str]:
    """What the service sets in a container, beside the container's own variables."""
    own = job.name.rpartition("/")[2]
    return {
        **_outputs(job.job_spec),
        **_experiment(job.job_spec),
        "CLOUD_ML_PROJECT_ID": project_number,  # the number, says the documentation on access to services
        "CLOUD_ML_JOB_ID": own,
        "CLOUD_ML_JOB": json.dumps(as_document(job.job_spec), sort_keys=True),
        "CLUSTER_SPEC": json.dumps(_cluster_spec(own, replica, replicas, ports)),
        "TF_CONFIG": json.dumps(_tf_config(own, replica, replicas, ports)),
    }


def _outputs(spec: CustomJobSpec) -> dict[str, str]:
    base = spec.base_output_directory.output_uri_prefix.rstrip("/")
    if not base:
        return {}
    return {
        "AIP_MODEL_DIR": f"{base}/model/",
        "AIP_CHECKPOINT_DIR": f"{base}/checkpoints/",
        "AIP_TENSORBOARD_LOG_DIR": f"{base}/logs/",
    }


def _experiment(spec: CustomJobSpec) -> dict[str, str]:
    told = {
        "AIP_TENSORBOARD_RESOURCE_NAME": spec.tensorboard,
        "AIP_EXPERIMENT_NAME": spec.experiment.rpartition("/")[2],
        "AIP_EXPERIMENT_RUN_NAME": spec.experiment_run.rpartition("/")[2],
    }
    return {name: value for name, value in told.items() if value}


def _cluster_spec(job: str, replica: Replica, replicas: Sequence[Replica], ports: Sequence[int]) -> dict[str, Any]:
    return {
        "cluster": _addresses(replicas, ports, [f"workerpool{each.pool}" for each in replicas]),
        "environment": "cloud",
        "task": {"type": f"workerpool{replica.pool}", "index": replica.number},
        "job": job,
    }


def _tf_config(job: str, replica: Replica, replicas: Sequence[Replica], ports: Sequence[int]) -> dict[str, Any]:
    return {
        "cluster": _addresses(replicas, ports, [_TF_ROLES[each.pool] for each in replicas]),
        "environment": "cloud",
        "task": {"type": _TF_ROLES[replica.pool], "index": replica.number},
        "job": job,
    }


def _addresses(replicas: Sequence[Replica], ports: Sequence[int], groups: Sequence[str]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for replica, port, group in zip(replicas, ports, groups, strict=True):
        found.setdefault(group, []).append(f"{replica.host}:{port}")
    return found
