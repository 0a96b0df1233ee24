"""What Amazon SageMaker offers: machine types and framework images. The data files name their sources."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal

from mlinfra.catalog.aws.addresses import domain
from mlinfra.catalog.machines import Fit, Machine, exact, fit
from mlinfra.errors import CapabilityError

if TYPE_CHECKING:
    from mlinfra.spec.resources import Hardware

Use = Literal["training", "hosting"]

DEFAULT = "ml.m5.large"  # of which every account may have some from its first day
# What the kit chooses from, the usual first: x86, offered in most regions, no burst credits. Others can be named.
FAMILIES = (
    *("m5", "c5", "r5", "m6i", "c6i", "r6i", "m7i", "c7i", "r7i"),
    *("g4dn", "g5", "g6", "g6e", "p3dn", "p4d", "p4de", "p5", "p5e", "p5en", "p6-b200", "trn1", "inf2"),
)


def choose(hardware: Hardware, use: Use, name: str | None = None) -> Fit:
    """The machine type for some hardware, or the one that a spec names.

    Raises:
        CapabilityError: no machine type is enough.
        SpecError: there is none of that name.
    """
    if name:
        return exact(name, machines(use))
    usual = {family: rank for rank, family in enumerate(FAMILIES)}
    offered = [replace(machine, rank=usual[family(machine)]) for machine in machines(use) if family(machine) in usual]
    return fit(hardware, offered, default=DEFAULT)


def machines(use: Use) -> list[Machine]:
    """Every machine type with known size that SageMaker offers for training or hosting."""
    rows: dict[str, dict[str, Any]] = _read("machines.json")["machines"]
    fields = ("cpu", "memory", "accelerator", "accelerators", "local_disk")
    return [
        Machine(name, **{field: row[field] for field in fields if field in row})
        for name, row in rows.items()
        if use in row["uses"]
    ]


def family(machine: Machine) -> str:
    """`m5` of `ml.m5.large`."""
    return machine.name.split(".")[1]


def framework_image(python: str, region: str, *, gpu: bool) -> str:
    """The newest image with that Python that AWS publishes for training.

    Raises:
        CapabilityError: there is none for that Python, or none in that region.
    """
    known = _read("images.json")
    image, account = known["images"].get(python), known["registries"].get(region)
    if image is None or account is None:
        raise CapabilityError(
            f"AWS publishes no image with Python {python} in {region}",
            given=python if image is None else region,
            allowed=", ".join(known["images"] if image is None else known["registries"]),
            todo="name an image under `images.base` of the environment, or `image` in the job",
        )
    tag = image["tag"].format(processor="gpu" if gpu else "cpu")
    return f"{account}.dkr.ecr.{region}.{domain(region)}/{image['repository']}:{tag}"


@cache
def _read(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(resources.files(__package__).joinpath(name).read_text())
    return document
