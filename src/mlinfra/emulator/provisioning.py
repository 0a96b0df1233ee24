"""How a resource of a stack comes to exist in an emulator: the contract between stand-in providers and clouds.

A cloud plays only part of what a stack declares (keys, buckets, roles; no dashboards). What it does not know stays in
the providers' own state.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Declared:
    """A resource as a stack declares it: its type, the inputs without wrappings, id and outputs as far as known."""

    token: str
    inputs: Mapping[str, Any]
    id: str = ""
    outputs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Made:
    """What the cloud gave: the id, and outputs that it chose."""

    id: str
    outputs: Mapping[str, Any] = field(default_factory=dict)


class Refused(Exception):
    """The cloud's own error, as its API words it. `exists`: because something of that name is there."""

    def __init__(self, message: str, *, exists: bool = False) -> None:
        super().__init__(message)
        self.exists = exists


class Provisioner(Protocol):
    """What an emulator offers the stand-in providers. Every method may raise Refused."""

    def knows(self, token: str) -> bool:
        """Whether resources of this type exist in the cloud and not in the providers' state alone."""

    def create(self, declared: Declared) -> Made:
        """Make it. `declared` brings the id that it would have; the cloud may give another."""

    def update(self, declared: Declared, before: Mapping[str, Any]) -> Mapping[str, Any]:
        """Bring it from the inputs `before` to the declared ones. Returns outputs that changed."""

    def delete(self, declared: Declared) -> None:
        """Remove it; nothing where it is gone."""

    def read(self, declared: Declared) -> Mapping[str, Any] | None:
        """The inputs as the cloud has them now, as far as it can tell them; None where the resource is gone."""
