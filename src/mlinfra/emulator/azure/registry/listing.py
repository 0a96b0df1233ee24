"""Lists of assets: which ones, in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.emulator.azure.names import own
from mlinfra.emulator.azure.wire import refusals

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mlinfra.emulator.azure.operations import Request
    from mlinfra.emulator.azure.registry.assets import Version

# `listViewType`: whether something archived is shown.
_VIEWS: dict[str, Callable[[bool], bool]] = {
    "activeonly": lambda archived: not archived,
    "archivedonly": lambda archived: archived,
    "all": lambda _archived: True,
}
_HASHES = {"hash": "hash_sha256", "hashVersion": "hash_version"}  # of the query -> of the properties
_ORDERS: dict[str, Callable[[Version], Any]] = {
    "createdtime": lambda each: each.created,
    "modifiedtime": lambda each: each.modified,
    "createdat": lambda each: each.created,
    "updatedat": lambda each: each.modified,
    "version": lambda each: own(each.id),
}


def shown(archived: bool, request: Request) -> bool:  # noqa: FBT001  what is asked about
    """Whether a list shows something, by `listViewType`; without one, what is not archived.

    Raises:
        Refusal: no such view.
    """
    view = request.query.get("listViewType", "ActiveOnly")
    if view.lower() not in _VIEWS:
        raise refusals.invalid(f"Unknown listViewType '{view}'.", "listViewType")
    return _VIEWS[view.lower()](archived)


def versions(held: Sequence[Version], request: Request) -> list[Version]:
    """Which of the versions a request asks for, the newest first where it names no order.

    Raises:
        Refusal: no such view or order.
    """
    query = request.query
    found = [each for each in held if shown(each.archived, request) and _fits(each, query)]
    return _ordered(found, query.get("$orderBy", "createdtime desc"))


def _fits(version: Version, query: Mapping[str, str]) -> bool:
    properties = version.properties.get("properties") or {}
    tags = version.properties.get("tags") or {}
    if query.get("version", own(version.id)) != own(version.id):
        return False
    if any(query.get(asked, properties.get(held)) != properties.get(held) for asked, held in _HASHES.items()):
        return False
    return _holds(tags, query.get("tags") or query.get("$tags") or "") and _holds(
        properties, query.get("properties", "")
    )


def _holds(held: Mapping[str, str], wanted: str) -> bool:
    """`a=1,b`: a has that value, and b any."""
    for part in filter(None, wanted.split(",")):
        name, equals, value = part.partition("=")
        if name not in held or (equals and held[name] != value):
            return False
    return True


def _ordered(found: Sequence[Version], order: str) -> list[Version]:
    """The order of creation turns around with `desc`, so that what was made in one moment stays in order too."""
    name, _, way = order.strip().partition(" ")
    if name.lower() not in _ORDERS or way.lower() not in {"", "asc", "desc"}:
        raise refusals.invalid(f"The order '{order}' is not known.", "$orderBy")
    key = _ORDERS[name.lower()]
    return sorted(found, key=key) if way.lower() != "desc" else sorted(found, key=key)[::-1]
