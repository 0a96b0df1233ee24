"""One kind of resource that the emulated account knows, as the calls that make, change, read and remove it.

Names of inputs are the provider's (camelCase); bodies are the services' own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.provisioning import Declared, Made

if TYPE_CHECKING:
    from mlinfra.emulator.aws.provisioning.cloud import Cloud

Inputs = Mapping[str, Any]


@dataclass(frozen=True)
class Kind:
    """`read` returns the inputs that the account can tell, or None where the resource is gone."""

    create: Callable[[Cloud, Declared], Made]
    delete: Callable[[Cloud, Declared], None]
    read: Callable[[Cloud, Declared], Mapping[str, Any] | None]
    update: Callable[[Cloud, Declared, Inputs], Mapping[str, Any]]


def tags(inputs: Inputs, key: str = "Key", value: str = "Value") -> list[dict[str, str]] | None:
    """A list of tags, or None where there are none."""
    return [{key: name, value: text} for name, text in (inputs.get("tags") or {}).items()] or None


def told_tags(rows: list[dict[str, str]] | None) -> dict[str, Any]:
    """Tags as the provider has them, from a service's own rows."""
    found = {row.get("Key") or row["TagKey"]: row.get("Value") or row.get("TagValue", "") for row in rows or []}
    return {"tags": found} if found else {}


def same(_cloud: Cloud, _declared: Declared, _before: Inputs) -> Mapping[str, Any]:
    """Nothing of it can change in place but what the account does not keep."""
    return {}


def made(declared: Declared) -> Made:
    """A resource with the id that was expected."""
    return Made(declared.id)


def whole(value: Any) -> int | None:
    """The engine hands every number over as a float."""
    return None if value is None else int(value)


def put(change: Callable[[Cloud, Declared, Inputs], Mapping[str, Any]]) -> Callable[[Cloud, Declared], Made]:
    """A resource that is made as it is changed: by putting it."""

    def create(cloud: Cloud, declared: Declared) -> Made:
        change(cloud, declared, {})
        return made(declared)

    return create
