"""The sizes of virtual machines that jobs and clusters may name, from the kit's catalogue, which has the source."""

from __future__ import annotations

from functools import cache
from typing import Any

from mlinfra.catalog.azure import machines
from mlinfra.emulator.azure.wire import refusals

DEFAULT = "Standard_DS3_v2"  # of serverless jobs that name none


def check(size: str, target: str) -> str:
    """The size, in the vendor's own spelling.

    Raises:
        Refusal: there is no such.
    """
    found = _known().get(size.lower())
    if found is None:
        raise refusals.invalid(f"The specified VM size {size} is not supported in this region.", target)
    return found


def listed() -> list[dict[str, Any]]:
    """All of them, as VirtualMachineSizes_List tells them."""
    return [
        {
            "name": each.name,
            "family": f"standard{each.name.removeprefix('Standard_')}Family",
            "vCPUs": int(each.cpu),
            "gpus": each.accelerators,
            "memoryGB": float(each.memory),
            "osVhdSizeMB": 1_047_552,
            "maxResourceVolumeMB": 102_400,
            "lowPriorityCapable": True,
            "premiumIO": True,
            "estimatedVMPrices": None,
            "supportedComputeTypes": ["AmlCompute", "ComputeInstance"],
        }
        for each in machines("training")
    ]


@cache
def _known() -> dict[str, str]:
    return {each.name.lower(): each.name for each in machines("training")}
