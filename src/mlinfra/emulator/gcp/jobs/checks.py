"""What CreateCustomJob refuses beside what the messages' own descriptions say: contradictions, impossible wishes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from google.cloud.aiplatform_v1.types import Scheduling

from mlinfra.emulator.gcp.jobs import machines
from mlinfra.emulator.gcp.wire import refusals

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from google.cloud.aiplatform_v1.types import CustomJob, CustomJobSpec, EnvVar, WorkerPoolSpec

    from mlinfra.emulator.calls import Refusal
    from mlinfra.emulator.gcp.names import Place

_SPEC = "custom_job.job_spec"
_MOST_POOLS = 4  # primary, workers, parameter servers, evaluators: the guide on distributed training
_MOST_VARIABLES = 100  # by the description of ContainerSpec.env
_MOST_NODES = 64  # what the host runs at most as one job
_SMALLEST_DISK, _LARGEST_DISK = 100, 64_000  # GB
_DISKS = ("pd-ssd", "pd-standard", "hyperdisk-balanced")
_LONGEST = 30 * 86_400  # s
_NETWORK = re.compile(r"projects/\d+/global/networks/[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_ACCOUNT = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_KEY = re.compile(
    r"projects/[^/]+/locations/(?P<location>[^/]+)/keyRings/[a-zA-Z0-9_-]{1,63}/cryptoKeys/[a-zA-Z0-9_-]{1,63}"
)
_TENSORBOARD = re.compile(r"projects/[^/]+/locations/(?P<location>[^/]+)/tensorboards/[^/]+")
_ADDRESS = re.compile(r"gs://[a-z0-9][a-z0-9._-]+(/.*)?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_UNSUPPORTED = {
    "persistent_resource_id": "A persistent resource",
    "protected_artifact_location_id": "A protected artifact location",
    "enable_web_access": "An interactive shell",
    "enable_dashboard_access": "Dashboard access",
}
Problem = tuple[str, str]  # the field's path below the job's spec, and what is wrong


def check(job: CustomJob, place: Place) -> None:
    """Refuse a job that contradicts itself, or asks for what is not emulated.

    Raises:
        Refusal: INVALID_ARGUMENT, with every field that is at fault; UNIMPLEMENTED.
    """
    spec = job.job_spec
    for member, what in _UNSUPPORTED.items():
        if getattr(spec, member):
            raise refusals.not_emulated(what)
    problems = [*_pools(spec.worker_pool_specs), *_scheduling(spec), *_places(spec, place)]
    problems += _key(job.encryption_spec.kms_key_name, place)
    if problems:
        raise _refusal(
            [(f"{_SPEC}.{path}" if not path.startswith("custom_job") else path, why) for path, why in problems]
        )
    replicas = sum(pool.replica_count for pool in spec.worker_pool_specs)
    if replicas > _MOST_NODES:
        raise refusals.not_emulated(f"A job with {replicas} replicas, more than {_MOST_NODES},")


def _refusal(problems: Sequence[Problem]) -> Refusal:
    listed = "".join(f"{number}.Field: {path}; Message: {why}\t" for number, (path, why) in enumerate(problems, 1))
    violations = [{"field": path, "description": why} for path, why in problems]
    details = [refusals.detail("BadRequest", fieldViolations=violations)]
    return refusals.refusal("INVALID_ARGUMENT", f"List of found errors:\t{listed}", details)


def _pools(pools: Sequence[WorkerPoolSpec]) -> Iterator[Problem]:
    if not pools:
        yield "worker_pool_specs", "At least one worker pool must be specified."
        return
    if len(pools) > _MOST_POOLS:
        yield "worker_pool_specs", f"At most {_MOST_POOLS} worker pools are allowed, got {len(pools)}."
    for number, pool in enumerate(pools):
        path = f"worker_pool_specs[{number}]"
        if number and not _is_used(pool):
            continue  # an empty value stands for a pool that is skipped
        if number == 0 and pool.replica_count != 1:
            yield f"{path}.replica_count", "The primary worker pool must have exactly one replica."
        elif pool.replica_count < 1:
            yield f"{path}.replica_count", "The number of replicas must be at least 1."
        yield from _pool(pool, path)


def _is_used(pool: WorkerPoolSpec) -> bool:
    task = pool.container_spec.image_uri or pool.python_package_spec.executor_image_uri
    return bool(pool.replica_count or pool.machine_spec.machine_type or task)


def _pool(pool: WorkerPoolSpec, path: str) -> Iterator[Problem]:
    if pool.nfs_mounts or pool.lustre_mounts:
        raise refusals.not_emulated("A mounted file system")
    if "reservation_affinity" in pool.machine_spec or pool.machine_spec.tpu_topology:
        raise refusals.not_emulated("A reservation or a TPU topology")
    why = machines.problem(pool.machine_spec) if pool.machine_spec.machine_type else "machine_type is required."
    if why:
        yield f"{path}.machine_spec.machine_type", why
    size, kind = pool.disk_spec.boot_disk_size_gb, pool.disk_spec.boot_disk_type
    if size and not _SMALLEST_DISK <= size <= _LARGEST_DISK:
        yield (
            f"{path}.disk_spec.boot_disk_size_gb",
            f"Must be between {_SMALLEST_DISK} and {_LARGEST_DISK}, got {size}.",
        )
    if kind and kind not in _DISKS:
        yield f"{path}.disk_spec.boot_disk_type", f"Must be one of {', '.join(_DISKS)}, got {kind!r}."
    kind = next((name for name in ("container_spec", "python_package_spec") if name in pool), "")
    if kind:
        yield from _variables(getattr(pool, kind).env, f"{path}.{kind}")
    else:
        yield path, "One of container_spec and python_package_spec must be specified."
    for number, uri in enumerate(pool.python_package_spec.package_uris):
        if not _ADDRESS.fullmatch(uri) or uri.rpartition("/")[2] in {"", ".", ".."}:
            yield f"{path}.python_package_spec.package_uris[{number}]", f"Invalid Cloud Storage URI: {uri!r}."


def _variables(given: Sequence[EnvVar], path: str) -> Iterator[Problem]:
    if len(given) > _MOST_VARIABLES:
        yield f"{path}.env", f"At most {_MOST_VARIABLES} environment variables are allowed, got {len(given)}."
    names = [each.name for each in given]
    for number, name in enumerate(names):
        if not _VARIABLE.fullmatch(name):
            yield f"{path}.env[{number}].name", f"Invalid environment variable name: {name!r}."
        elif name in names[:number]:
            yield f"{path}.env[{number}].name", f"Duplicate environment variable: {name!r}."


def _scheduling(spec: CustomJobSpec) -> Iterator[Problem]:
    wanted = spec.scheduling
    timeout = wanted.timeout.total_seconds() if wanted.timeout else 0
    if timeout < 0 or timeout > _LONGEST:
        yield "scheduling.timeout", f"Must be between 0 and {_LONGEST} seconds."
    flexible = wanted.strategy == Scheduling.Strategy.FLEX_START
    if "max_wait_duration" in wanted and not flexible:
        yield "scheduling.max_wait_duration", "max_wait_duration is supported for the strategy FLEX_START alone."


def _places(spec: CustomJobSpec, place: Place) -> Iterator[Problem]:
    """Names of things outside of the job."""
    base = spec.base_output_directory.output_uri_prefix
    if "base_output_directory" in spec and not _ADDRESS.fullmatch(base):
        yield "base_output_directory.output_uri_prefix", f"Invalid Cloud Storage URI: {base!r}."
    if spec.service_account and not _ACCOUNT.fullmatch(spec.service_account):
        yield "service_account", f"Invalid service account: {spec.service_account!r}."
    if spec.network and not _NETWORK.fullmatch(spec.network):
        yield "network", f"Invalid network: {spec.network!r}, must be projects/{{number}}/global/networks/{{network}}."
    if spec.network and "psc_interface_config" in spec:
        yield "psc_interface_config", "network and psc_interface_config cannot be specified together."
    if spec.reserved_ip_ranges and not spec.network:
        yield "reserved_ip_ranges", "reserved_ip_ranges requires a network."
    if spec.tensorboard:
        yield from _tensorboard(spec, place)


def _tensorboard(spec: CustomJobSpec, place: Place) -> Iterator[Problem]:
    match = _TENSORBOARD.fullmatch(spec.tensorboard)
    if match is None or match["location"] != place.region:
        yield "tensorboard", f"Invalid Tensorboard resource for {place.region}: {spec.tensorboard!r}."
    if not spec.service_account:
        yield "service_account", "A service account is required when tensorboard is specified."
    if not spec.base_output_directory.output_uri_prefix:
        yield "base_output_directory", "base_output_directory is required when tensorboard is specified."


def _key(name: str, place: Place) -> Iterator[Problem]:
    match = _KEY.fullmatch(name) if name else None
    path = "custom_job.encryption_spec.kms_key_name"
    if name and match is None:
        yield path, f"Invalid KMS key name: {name!r}."
    elif match and match["location"] != place.region:
        yield path, f"The key must be in the same region as the job, {place.region}, not in {match['location']}."
