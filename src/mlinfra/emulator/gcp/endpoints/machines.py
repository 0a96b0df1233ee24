"""The machines that deployed models take: which the service refuses, and how many processors a project may have.

The quota's metric has the service's own name, and its number is the emulator's: a project's real one is its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.cloud.aiplatform_v1.types import AcceleratorType

from mlinfra.emulator.gcp.machines import accelerators, processors
from mlinfra.emulator.gcp.wire import refusals

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlinfra.emulator.quotas import Quotas

USUAL = "n1-standard-2"  # where a DeployedModel names none
QUOTA = "custom_model_serving_cpus"
_MOST = 2200
_FIELD = "deployed_model.dedicated_resources.machine_spec"


def check(spec: Any) -> None:
    """Refuse a MachineSpec that the service has no machine for."""
    name, kind = spec.machine_type or USUAL, AcceleratorType(spec.accelerator_type)
    if bool(kind.value) != bool(spec.accelerator_count):
        message = "accelerator_type and accelerator_count must be set together."
        raise refusals.invalid_argument(message, f"{_FIELD}.accelerator_count")
    known = accelerators("hosting").get(name)
    if known is None:
        raise refusals.invalid_argument(f"Machine type {name!r} is not supported.", f"{_FIELD}.machine_type")
    if (kind.name if kind.value else "", spec.accelerator_count) not in known:
        message = f"{spec.accelerator_count} accelerators {kind.name!r} are not supported for machine type {name!r}."
        raise refusals.invalid_argument(message, f"{_FIELD}.accelerator_type")


def check_quota(quotas: Quotas, wanted: Any, others: Iterable[Any]) -> None:
    """Refuse DedicatedResources for which there is no room beside others: each counts with its most replicas."""
    if not quotas.enforced:
        return
    told = quotas.ceiling_of(QUOTA)
    if _processors(wanted) + sum(map(_processors, others)) > (_MOST if told is None else told):
        raise refusals.resource_exhausted(
            f"The following quota metrics exceed quota limits: aiplatform.googleapis.com/{QUOTA}"
        )


def _processors(resources: Any) -> int:
    replicas = max(resources.min_replica_count, resources.max_replica_count)
    return processors("hosting")[resources.machine_spec.machine_type or USUAL] * int(replicas)
