"""What Azure Machine Learning offers: sizes of virtual machines, and Python's own image.

The data file names its source: the service tells its sizes to those who have a workspace alone.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal

from mlinfra.catalog.machines import Fit, Machine, exact, fit
from mlinfra.errors import CapabilityError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlinfra.spec.resources import Hardware

__all__ = ["Use", "choose", "machines", "plain_image"]

Use = Literal["training", "hosting"]

DEFAULTS: dict[Use, str] = {"training": "Standard_DS3_v2", "hosting": "Standard_DS2_v2"}  # the vendor's own examples
_DOCKER_HUB = "docker.io"
_PYTHON = re.compile(r"3\.\d{1,2}")
_FAMILY = re.compile(r"Standard_([A-Z]+)")
# What the kit chooses from, the likely cheapest first where sizes are equal.
FAMILIES = ("F", "D", "DS", "E", "NC", "NV", "ND")


def choose(hardware: Hardware, use: Use, name: str | None = None) -> Fit:
    """The size for some hardware, or the one that a spec names.

    Raises:
        CapabilityError: no size is enough.
        SpecError: there is none of that name.
    """
    offered = machines(use)
    return exact(name, offered) if name else fit(hardware, offered, default=DEFAULTS[use])


def machines(use: Use) -> list[Machine]:
    """Every size with known figures that Azure Machine Learning offers for training or hosting."""
    return [replace(machine, rank=FAMILIES.index(_family(machine.name))) for machine in _all(use)]


def plain_image(python: str, registry: str = "") -> str:
    """Python's own image, from Docker Hub or through a registry that keeps a copy of it.

    Raises:
        CapabilityError: that is no version of Python.
    """
    if not _PYTHON.fullmatch(python):
        raise CapabilityError(
            f"there is no public image with Python {python}",
            given=python,
            allowed="3.9, 3.10, 3.11, …",
            todo="name an image under `images.base` of the environment, or `image` in the job",
        )
    return f"{registry or _DOCKER_HUB}/library/python:{python}-slim"


def _all(use: Use) -> Iterator[Machine]:
    for name, row in _read()["families"].items():
        for cpu in row[use]:
            yield Machine(name.format(cpu), cpu, cpu * row["memory"])
    for name, row in _read()["machines"].items():
        yield Machine(name, **row)


def _family(name: str) -> str:
    found = _FAMILY.match(name)
    return found[1] if found else ""


@cache
def _read() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(resources.files(__package__).joinpath("machines.json").read_text())
    return document
