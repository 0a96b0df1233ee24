"""The machines that deployments take: which sizes there are, and how many processors a subscription may have at once.

The sizes are those of the kit's catalogue, which holds them with their source. The limits are those of "Manage and
increase quotas for resources", section online endpoints; the number of processors is the emulator's, since a
subscription's real one is its own.
"""

from __future__ import annotations

from functools import cache
from math import ceil
from typing import TYPE_CHECKING

from mlinfra.catalog.azure import machines
from mlinfra.emulator.azure.wire import refusals

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlinfra.emulator.quotas import Quotas

USUAL = "Standard_F4s_v2"  # where a deployment names none
QUOTA = "online_endpoint_cores"
MOST_INSTANCES = 50
_MOST_CORES = 1000
_RESERVE = 1.2  # 20 per cent more are held for upgrades


def check(name: str) -> None:
    """Refuse a size that no managed online deployment can have."""
    if name.lower() not in _cores():
        raise refusals.invalid(f"Instance type {name} is not supported.", "properties.instanceType")


def check_quota(quotas: Quotas, wanted: tuple[str, int], others: Iterable[tuple[str, int]]) -> None:
    """Refuse a size and number of instances for which there is no room beside others.

    Raises:
        Refusal: OutOfQuota.
    """
    if not quotas.enforced:
        return
    told = quotas.ceiling_of(QUOTA)
    used, most = sum(map(_taken, others)), _MOST_CORES if told is None else told
    if used + _taken(wanted) > most:
        raise refusals.user_error(
            f"Not enough quota available for {wanted[0]}. Required cores: {_taken(wanted)}, limit: {most}, current "
            f"usage: {used}. Additional quota of 20% is reserved for performing upgrades.",
            "OutOfQuota",
        )


def _taken(wanted: tuple[str, int]) -> int:
    name, instances = wanted
    return _cores()[name.lower()] * ceil(instances * _RESERVE)


@cache
def _cores() -> dict[str, int]:
    """The processors of each size, by its name in lower case."""
    return {each.name.lower(): int(each.cpu) for each in machines("hosting")}
