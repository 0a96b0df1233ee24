"""The account's limits on training jobs: instances by type, jobs at once, the longest run.

The names of the instance limits are the service's own, as its ResourceLimitExceeded words them. The numbers are the
emulator's: an account's real ones are its own.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from mlinfra.emulator.aws.training.nodes import of as nodes_of
from mlinfra.emulator.aws.wire import refusals

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlinfra.emulator.aws.training.job import TrainingJob
    from mlinfra.emulator.quotas import Quotas

JOBS = "Number of concurrent training jobs"
RUNTIME = "Longest run time for a training job"
_MOST_JOBS = 100
_MOST_INSTANCES = 20  # of each type
_MOST_SECONDS = 5 * 86_400


def instances(machine: str, *, spot: bool) -> str:
    """The limit's name for an instance type."""
    return f"{machine} for {'spot ' if spot else ''}training job usage"


def check(quotas: Quotas, job: TrainingJob, others: Iterable[TrainingJob]) -> None:
    """Refuse a job for which there is no room beside those that have not ended."""
    active = [other for other in others if not other.has_ended]
    _fit(quotas, RUNTIME, _MOST_SECONDS, more=job.limits["MaxRuntimeInSeconds"], unit="Seconds")
    _fit(quotas, JOBS, _MOST_JOBS, used=len(active), unit="Jobs")
    used = Counter(machine for other in active if other.spot == job.spot for machine in _machines(other))
    for machine, count in Counter(_machines(job)).items():
        _fit(quotas, instances(machine, spot=job.spot), _MOST_INSTANCES, used=used[machine], more=count)


def _fit(quotas: Quotas, name: str, usual: int, *, used: int = 0, more: int = 1, unit: str = "Instances") -> None:
    ceiling = quotas.ceiling_of(name)
    limit = usual if ceiling is None else ceiling
    if quotas.enforced and used + more > limit:
        raise refusals.limit_exceeded(name, limit, used, more, unit)


def _machines(job: TrainingJob) -> list[str]:
    """The type of each of its instances; the first preference, until one is chosen."""
    resources = job.request["ResourceConfig"]
    preferred = resources.get("InstancePreferences")
    machine = job.machine or (preferred[0]["InstanceType"] if preferred else "")
    return [node.machine for node in nodes_of(resources, machine)]
