"""The machine types of Vertex AI, their sizes and the accelerators on or beside them.

By the tables of its documentation ("Configure compute resources for custom training"), which the kit's catalogue holds
with their source. What is wrong about a machine, training and hosting say each in its own words.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from mlinfra.catalog.gcp import ACCELERATOR_TYPES, machines

if TYPE_CHECKING:
    from mlinfra.catalog.gcp import Use


@cache
def processors(use: Use) -> dict[str, int]:
    """How many virtual processors each machine type has."""
    return {each.name: int(each.cpu) for each in machines(use)}


@cache
def accelerators(use: Use) -> dict[str, set[tuple[str, int]]]:
    """What goes with each machine type: accelerators as the API names them, and how many; ("", 0) is none."""
    found: dict[str, set[tuple[str, int]]] = {}
    for each in machines(use):
        kind = ACCELERATOR_TYPES[each.accelerator] if each.accelerators else ""
        found.setdefault(each.name, set()).add((kind, each.accelerators))
    return found
