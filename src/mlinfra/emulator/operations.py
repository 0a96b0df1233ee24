"""What an emulator says of each operation of its cloud: the data of the fidelity table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fidelity:
    """One operation. `validated` names the members that are checked against the vendor's description, and how."""

    service: str
    operation: str
    emulated: bool = True
    validated: str = ""
    differences: tuple[str, ...] = ()  # what the real service does otherwise
