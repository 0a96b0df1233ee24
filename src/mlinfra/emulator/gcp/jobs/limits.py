"""The project's quotas on custom training in its region: processors and accelerators at once, spot ones apart.

The metrics' names are the service's own. The numbers are the emulator's: a project's real ones are its own.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from google.cloud.aiplatform_v1.types import AcceleratorType, Scheduling

from mlinfra.emulator.gcp.machines import processors
from mlinfra.emulator.gcp.wire import refusals

if TYPE_CHECKING:
    from collections.abc import Iterable

    from google.cloud.aiplatform_v1.types import CustomJobSpec

    from mlinfra.emulator.quotas import Quotas

PREFIX = "aiplatform.googleapis.com/"
_MOST_PROCESSORS = 2200
_MOST_ACCELERATORS = 100  # of each kind


def demand(spec: CustomJobSpec) -> Counter[str]:
    """How much a job takes of each metric, by the metric's name without its service."""
    spot = "preemptible_" if spec.scheduling.strategy == Scheduling.Strategy.SPOT else ""
    found: Counter[str] = Counter()
    for pool in spec.worker_pool_specs:
        if not pool.replica_count:
            continue
        found[f"custom_model_training_{spot}cpus"] += processors("training")[pool.machine_spec.machine_type] * (
            pool.replica_count
        )
        kind = AcceleratorType(pool.machine_spec.accelerator_type).name.lower().replace("tesla_", "")
        if pool.machine_spec.accelerator_count:
            metric = f"custom_model_training_{spot}{kind}_gpus"
            found[metric] += pool.machine_spec.accelerator_count * pool.replica_count
    return found


def check(quotas: Quotas, spec: CustomJobSpec, others: Iterable[CustomJobSpec]) -> None:
    """Refuse a job for which there is no room beside the others.

    Raises:
        Refusal: RESOURCE_EXHAUSTED.
    """
    if not quotas.enforced:
        return
    used: Counter[str] = Counter()
    for other in others:
        used += demand(other)
    exceeded = [metric for metric, more in demand(spec).items() if used[metric] + more > _ceiling(quotas, metric)]
    if exceeded:
        listed = ", ".join(f"{PREFIX}{metric}" for metric in exceeded)
        raise refusals.resource_exhausted(f"The following quota metrics exceed quota limits: {listed}")


def _ceiling(quotas: Quotas, metric: str) -> int:
    usual = _MOST_PROCESSORS if metric.endswith("_cpus") else _MOST_ACCELERATORS
    told = quotas.ceiling_of(metric)
    return usual if told is None else told
