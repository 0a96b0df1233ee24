"""How a resource of a stack comes to exist in an emulator: the contract between stand-in providers and clouds.

A cloud plays only part of what a stack declares (keys, buckets, roles; no dashboards). What it does not know stays in
the providers' own state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

Cloud = TypeVar("Cloud")
Inputs = Mapping[str, Any]  # of a resource, by the provider's names (camelCase)


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
        """The inputs as the cloud has them now, as far as it can tell them; None where the resource is gone.

        Where no outputs are declared it is one that somebody else made: those that the cloud chose are told as well.
        """


@dataclass(frozen=True)
class Kind(Generic[Cloud]):
    """One kind of resource, as what makes, removes, reads and changes it in a cloud.

    `read` returns the inputs that the cloud can tell, or None where the resource is gone.
    """

    create: Callable[[Cloud, Declared], Made]
    delete: Callable[[Cloud, Declared], None]
    read: Callable[[Cloud, Declared], Mapping[str, Any] | None]
    update: Callable[[Cloud, Declared, Inputs], Mapping[str, Any]]


class ByKind(Generic[Cloud]):
    """A `Provisioner` over a table of kinds, by their types."""

    def __init__(self, cloud: Cloud, kinds: Mapping[str, Kind[Cloud]]) -> None:
        self._cloud = cloud
        self._kinds = kinds

    def knows(self, token: str) -> bool:
        """Whether the table has the type."""
        return token in self._kinds

    def create(self, declared: Declared) -> Made:
        """Make it. Refused is the cloud's error."""
        return self._kinds[declared.token].create(self._cloud, declared)

    def update(self, declared: Declared, before: Mapping[str, Any]) -> Mapping[str, Any]:
        """Change it in place. Refused is the cloud's error."""
        return self._kinds[declared.token].update(self._cloud, declared, before)

    def delete(self, declared: Declared) -> None:
        """Remove it; nothing where it is gone. Refused is the cloud's error."""
        self._kinds[declared.token].delete(self._cloud, declared)

    def read(self, declared: Declared) -> Mapping[str, Any] | None:
        """What the cloud tells of its inputs; None where it is gone."""
        return self._kinds[declared.token].read(self._cloud, declared)


def same(_cloud: Any, _declared: Declared, _before: Inputs) -> Mapping[str, Any]:
    """Nothing of it can change in place but what the cloud does not keep."""
    return {}


def made(declared: Declared) -> Made:
    """A resource with the id that was expected."""
    return Made(declared.id)


def put(change: Callable[[Cloud, Declared, Inputs], Mapping[str, Any]]) -> Callable[[Cloud, Declared], Made]:
    """A resource that is made as it is changed: by putting it."""

    def create(cloud: Cloud, declared: Declared) -> Made:
        change(cloud, declared, {})
        return made(declared)

    return create


def whole(value: Any) -> int | None:
    """The engine hands every number over as a float."""
    return None if value is None else int(value)
