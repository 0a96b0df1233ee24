"""The machine types that custom training takes, and the accelerators on or beside them.

By the tables of Vertex AI's documentation "Configure compute resources for custom training"; the sizes are read from
the kit's catalogue, which holds them with their source.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from google.cloud.aiplatform_v1.types import AcceleratorType

from mlinfra.catalog.gcp import ACCELERATOR_TYPES, machines

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1.types import MachineSpec


def problem(spec: MachineSpec) -> str:
    """Why the service takes no such machine; empty where it does."""
    name, count = spec.machine_type, spec.accelerator_count
    known = _known().get(name)
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


def processors(name: str) -> int:
    """How many virtual processors a machine type has."""
    return next(int(each.cpu) for each in machines("training") if each.name == name)


@cache
def _known() -> dict[str, set[tuple[str, int]]]:
    """The accelerators that go with each machine type, as the API names them."""
    found: dict[str, set[tuple[str, int]]] = {}
    for each in machines("training"):
        kind = ACCELERATOR_TYPES[each.accelerator] if each.accelerators else ""
        found.setdefault(each.name, set()).add((kind, each.accelerators))
    return found
