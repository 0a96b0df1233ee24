"""What Vertex AI offers: machine types and the accelerators on them or beside them, and Python's own image.

The data file names its source: no package of Google's holds these figures, and no document says which region has what.
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

__all__ = ["ACCELERATOR_TYPES", "Use", "choose", "machine_spec", "machines", "plain_image"]

Use = Literal["training", "hosting"]

DEFAULTS: dict[Use, str] = {"training": "n1-standard-4", "hosting": "n1-standard-2"}  # the vendor's own examples
# What the kit chooses from, the likely cheapest first where sizes are equal. Others can be named.
FAMILIES = ("e2", "n1", "n2", "c2", "g2", "a2", "a3", "a4")
ACCELERATOR_TYPES = {  # kind -> the API's AcceleratorType
    "t4": "NVIDIA_TESLA_T4",
    "p4": "NVIDIA_TESLA_P4",
    "p100": "NVIDIA_TESLA_P100",
    "v100": "NVIDIA_TESLA_V100",
    "l4": "NVIDIA_L4",
    "a100-40gb": "NVIDIA_TESLA_A100",
    "a100-80gb": "NVIDIA_A100_80GB",
    "h100": "NVIDIA_H100_80GB",
    "h100-mega": "NVIDIA_H100_MEGA_80GB",
    "h200": "NVIDIA_H200_141GB",
    "b200": "NVIDIA_B200",
}
_ATTACHED_TO = "n1"  # the one family that takes accelerators of one's choice
_DOCKER_HUB = "docker.io"
_PYTHON = re.compile(r"3\.\d{1,2}")


def choose(hardware: Hardware, use: Use, name: str | None = None) -> Fit:
    """The machine type for some hardware, or the one that a spec names with the accelerators asked for beside it.

    Raises:
        CapabilityError: no machine type is enough.
        SpecError: there is none of that name.
    """
    offered = machines(use)
    if name:
        return _exact(name, hardware, offered)
    usual = {family: rank for rank, family in enumerate(FAMILIES)}
    ranked = [replace(machine, rank=usual[_family(machine)]) for machine in offered]
    return fit(hardware, ranked, default=DEFAULTS[use])


def machines(use: Use) -> list[Machine]:
    """Every machine type with known size that Vertex AI offers for training or hosting.

    One that takes accelerators stands there several times: alone first, then with each kind and number.
    """
    return [*_plain(use), *_attached(use), *_built_in()]


def machine_spec(machine: Machine) -> dict[str, Any]:
    """The machine as the API's MachineSpec has it."""
    spec: dict[str, Any] = {"machineType": machine.name}
    if machine.accelerators:
        spec["acceleratorType"] = ACCELERATOR_TYPES[machine.accelerator]
        spec["acceleratorCount"] = machine.accelerators
    return spec


def plain_image(python: str, registry: str = "") -> str:
    """Python's own image, from Docker Hub or through a remote repository of it in Artifact Registry.

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


def _exact(name: str, hardware: Hardware, offered: list[Machine]) -> Fit:
    asked = hardware.accelerator
    if asked is not None:
        with_it = [each for each in offered if each.name == name and each.accelerators >= asked.count]
        found = [each for each in with_it if each.accelerator == asked.kind or each.accelerator.startswith(asked.kind)]
        if not found and any(each.name == name for each in offered):
            kinds = sorted({f"{each.accelerators} x {each.accelerator}" for each in offered if each.name == name})
            raise CapabilityError(
                f"{name} does not come with {asked.count} x {asked.kind}",
                given=name,
                allowed=", ".join(kind for kind in kinds if not kind.startswith("0")) or "no accelerator",
                todo="correct `machine` or `resources.accelerator`",
            )
        if found:
            return Fit(min(found, key=lambda each: each.accelerators), "asked for")
    return exact(name, list({each.name: each for each in reversed(offered)}.values()))  # each as it is alone


def _plain(use: Use) -> Iterator[Machine]:
    for family, row in _read()["families"].items():
        for cpu in row[use]:
            yield Machine(f"{family}-{cpu}", cpu, cpu * row["memory"])


def _attached(use: Use) -> Iterator[Machine]:
    """An accelerator takes a machine that is not too large for it."""
    for machine in _plain(use):
        if _family(machine) == _ATTACHED_TO:
            for kind, counts in _read()["attachable"].items():
                for count, most in counts.items():
                    if machine.cpu <= most:
                        yield replace(machine, accelerator=kind, accelerators=int(count))


def _built_in() -> Iterator[Machine]:
    for name, row in _read()["machines"].items():
        yield Machine(name, **row)


def _family(machine: Machine) -> str:
    return machine.name.partition("-")[0]


@cache
def _read() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(resources.files(__package__).joinpath("machines.json").read_text())
    return document
