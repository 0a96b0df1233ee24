"""What the kinds of resources in the emulated account share: tags, and calls that do nothing but look or remove."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlinfra.emulator.aws.provisioning.cloud import Cloud
    from mlinfra.emulator.provisioning import Declared, Inputs


def tags(inputs: Inputs, key: str = "Key", value: str = "Value") -> list[dict[str, str]] | None:
    """A list of tags, or None where there are none."""
    return [{key: name, value: text} for name, text in (inputs.get("tags") or {}).items()] or None


def told_tags(rows: list[dict[str, str]] | None) -> dict[str, Any]:
    """Tags as the provider has them, from a service's own rows."""
    found = {row.get("Key") or row["TagKey"]: row.get("Value") or row.get("TagValue", "") for row in rows or []}
    return {"tags": found} if found else {}


def seen(service: str, operation: str, member: str) -> Callable[[Cloud, Declared], Mapping[str, Any] | None]:
    """A look that tells whether it is there and nothing more; `member` of the call takes the resource's id."""

    def read(cloud: Cloud, declared: Declared) -> Mapping[str, Any] | None:
        return None if cloud.found(service, operation, **{member: declared.id}) is None else {}

    return read


def removed(service: str, operation: str, member: str) -> Callable[[Cloud, Declared], None]:
    """A call that removes it; `member` takes the resource's id."""

    def delete(cloud: Cloud, declared: Declared) -> None:
        cloud.gone(service, operation, **{member: declared.id})

    return delete
