"""What the List methods share beside pages and filters: `order_by`, and masks that say which members to read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf.field_mask_pb2 import FieldMask

from mlinfra.emulator.gcp.wire import refusals
from mlinfra.emulator.gcp.wire.messages import plain

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


def ordered(elements: Sequence[Any], order_by: str, known: Collection[str]) -> list[Any]:
    """Elements by a comma-separated list of members, ascending but where `desc` follows; as they are where it is empty.

    Raises:
        Refusal: INVALID_ARGUMENT, a member that is not among `known`.
    """
    found = list(elements)
    for part in reversed([part.split() for part in order_by.split(",") if part.strip()]):
        member = _snake(part[0])
        if member not in known or part[1:] not in ([], ["asc"], ["desc"]):
            raise refusals.invalid_argument(f"Invalid order by expression: {' '.join(part)}.", "order_by")
        found.sort(key=lambda element: getattr(element, member), reverse=part[1:] == ["desc"])
    return found


def only(message: Any, mask: Any) -> Any:
    """The message with nothing but what a read mask names; whole where the mask is empty."""
    asked = plain(mask) if mask is not None else FieldMask()
    paths = list(getattr(asked, "paths", ()))
    if not paths or paths == ["*"]:
        return message
    kept = type(message)()
    FieldMask(paths=paths).MergeMessage(plain(message), plain(kept))
    return kept


def _snake(name: str) -> str:
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in name)
