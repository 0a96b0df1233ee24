"""Which endpoints a list shows, and in which order: the query of OnlineEndpoints_List."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.emulator.azure.wire import refusals

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_ORDERS = {
    "createdatasc": ("createdAt", False),
    "createdatdesc": ("createdAt", True),
    "updatedatasc": ("lastModifiedAt", False),
    "updatedatdesc": ("lastModifiedAt", True),
}
_MANAGED = "managed"


def chosen(endpoints: Sequence[dict[str, Any]], query: Mapping[str, str]) -> list[dict[str, Any]]:
    """The documents that a query asks for, in its order. Refusal where it is none."""
    found = list(endpoints)
    if query.get("name"):
        found = [each for each in found if each["name"].lower() == query["name"].lower()]
    if query.get("computeType", _MANAGED).lower() != _MANAGED:
        return []
    found = [each for each in found if _has(each["tags"], query.get("tags", ""))]
    found = [each for each in found if _has(each["properties"]["properties"], query.get("properties", ""))]
    order = query.get("orderBy", "")
    if not order:
        return found
    if order.lower() not in _ORDERS:
        raise refusals.invalid(f"orderBy {order} is none of CreatedAtAsc, CreatedAtDesc, UpdatedAtAsc, UpdatedAtDesc.")
    member, backwards = _ORDERS[order.lower()]
    return sorted(found, key=lambda each: str(each["systemData"][member]), reverse=backwards)


def _has(has: Mapping[str, str], asked: str) -> bool:
    """Whether all of `a=1,b` are there, by name and, where one is said, by value."""
    wanted = [each.strip().partition("=") for each in asked.split(",") if each.strip()]
    return all(name in has and (not sign or has[name] == value) for name, sign, value in wanted)
