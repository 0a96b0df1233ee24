"""Choosing a machine: at least what was asked for, and of those that are enough the one that is likely cheapest.

A platform's catalogue lends its rows and the order of its families; the choice is the same everywhere.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlinfra.errors import CapabilityError, SpecError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mlinfra.spec.resources import Hardware

GIB = 1 << 30
_SHOWN = 12  # names worth repeating in an error

# Roughly dollars an hour, from the ratios of list prices on the three clouds. Only ever compared, never shown.
_CPU, _MEMORY = 0.037, 0.00275
_ACCELERATORS = {
    "t4": 0.35,
    "l4": 0.6,
    "a10": 0.8,
    "l40s": 1.5,
    "v100": 2.5,
    "a100-40gb": 3.0,
    "a100-80gb": 4.0,
    "h100": 7.0,
    "h200": 8.0,
    "b200": 12.0,
    "b300": 15.0,
}
_OTHER_ACCELERATOR = 5.0


@dataclass(frozen=True)
class Machine:
    """A machine type. `memory` is in GiB, `local_disk` says that it has disks of its own."""

    name: str
    cpu: int
    memory: float
    accelerator: str = ""
    accelerators: int = 0
    local_disk: bool = False
    rank: int = 0  # of its family among those that the kit chooses from

    @property
    def weight(self) -> float:
        """What orders machines by their likely price."""
        each = _ACCELERATORS.get(self.accelerator, _OTHER_ACCELERATOR)
        return self.cpu * _CPU + self.memory * _MEMORY + self.accelerators * each

    def __str__(self) -> str:
        parts = [f"{self.cpu} vCPU", f"{self.memory:g} GiB"]
        if self.accelerators:
            parts.append(f"{self.accelerators} x {self.accelerator}")
        return f"{self.name} ({', '.join(parts)})"


@dataclass(frozen=True)
class Fit:
    """What was chosen and why. `others` would do as well, the next likeliest first; `larger` says what is too much."""

    machine: Machine
    reason: str
    others: tuple[Machine, ...] = ()
    larger: str = ""


def fit(hardware: Hardware, machines: Iterable[Machine], *, default: str) -> Fit:
    """The machine for some hardware; `default` where nothing is asked for.

    Raises:
        CapabilityError: no machine is enough.
    """
    offered = list(machines)
    asked = _asked(hardware)
    if not asked:
        chosen = next(machine for machine in offered if machine.name == default)
        return Fit(chosen, "nothing is asked for; the platform's usual small machine")
    enough = sorted(filter(lambda machine: _is_enough(machine, hardware), offered), key=_order)
    if not enough:
        raise CapabilityError(
            "no machine type of the platform is enough",
            given=asked,
            allowed=_largest(offered, hardware),
            todo="ask for less, or name a machine type under `machine`",
        )
    best = enough[0]
    larger = _larger(best, hardware)
    reason = f"the likely cheapest with {asked}" + (f"; {larger}" if larger else "")
    return Fit(best, reason, tuple(enough[1:]), larger)


def exact(name: str, machines: Sequence[Machine]) -> Fit:
    """The machine type that a spec names.

    Raises:
        SpecError: the platform has no such machine type.
    """
    found = next((machine for machine in machines if machine.name == name), None)
    if found is None:
        near = difflib.get_close_matches(name, [machine.name for machine in machines], 3)
        raise SpecError(
            "no such machine type",
            given=name,
            allowed=", ".join(near) or "the platform's machine types",
            todo=f"did you mean {near[0]}?" if near else "correct `machine`",
        )
    return Fit(found, "asked for")


def _asked(hardware: Hardware) -> str:
    parts = [f"{hardware.cpu} vCPU"] if hardware.cpu else []
    parts += [f"{hardware.memory / GIB:g} GiB"] if hardware.memory else []
    if hardware.accelerator:
        parts.append(f"{hardware.accelerator.count} x {hardware.accelerator.kind}")
    return ", ".join(parts)


def _is_enough(machine: Machine, hardware: Hardware) -> bool:
    if hardware.cpu and machine.cpu < hardware.cpu:
        return False
    if hardware.memory and machine.memory * GIB < hardware.memory:
        return False
    if hardware.accelerator is None:
        return not machine.accelerators
    return _is_kind(machine.accelerator, hardware.accelerator.kind) and (
        machine.accelerators >= hardware.accelerator.count
    )


def _is_kind(offered: str, asked: str) -> bool:
    """A kind may be given without its memory: a100 is any of them; the vendor's own letter may stand: a10g."""
    return offered in {asked, asked.removesuffix("g")} or offered.startswith(f"{asked}-")


def _order(machine: Machine) -> tuple[float, int, str]:
    return (round(machine.weight, 3), machine.rank, machine.name)


def _larger(machine: Machine, hardware: Hardware) -> str:
    asked = hardware.accelerator
    if asked is None or machine.accelerators == asked.count:
        return ""
    return f"{asked.count} x {asked.kind} alone cannot be had, the nearest larger has {machine.accelerators}"


def _largest(machines: Sequence[Machine], hardware: Hardware) -> str:
    if hardware.accelerator is not None:
        kinds: Mapping[str, int] = {
            kind: max(each.accelerators for each in machines if each.accelerator == kind)
            for kind in sorted({each.accelerator for each in machines if each.accelerators})
        }
        return ", ".join(f"up to {count} x {kind}" for kind, count in list(kinds.items())[:_SHOWN])
    biggest = max(machines, key=lambda each: (each.memory, each.cpu))
    return f"up to {biggest}"
