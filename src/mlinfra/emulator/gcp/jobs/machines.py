"""The machines that custom training takes, and why it refuses the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.cloud.aiplatform_v1.types import AcceleratorType

from mlinfra.emulator.gcp.machines import accelerators

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1.types import MachineSpec


def problem(spec: MachineSpec) -> str:
    """Why the service takes no such machine; empty where it does."""
    name, count = spec.machine_type, spec.accelerator_count
    known = accelerators("training").get(name)
    if known is None:
        return f"Machine type {name!r} is not supported."
    kind = AcceleratorType(spec.accelerator_type)
    if kind.value == 0 and not count:
        return "" if ("", 0) in known else f"Machine type {name!r} requires its accelerators to be specified."
    if kind.value == 0 or count < 1:
        return "accelerator_type and accelerator_count must be specified together."
    if (kind.name, count) in known:
        return ""
    return f"Accelerator type {kind.name!r} with count {count} is not supported for machine type {name!r}."
