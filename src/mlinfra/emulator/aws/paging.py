"""Pages, orders and filters of the List operations, which all of them share."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mlinfra.emulator import pages
from mlinfra.emulator.aws.wire import refusals

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_PAGE = 10  # elements where a request does not say: what the service documents for most lists
_NOT_ASKED = {"NextToken", "MaxResults"}
Element = dict[str, Any]


@dataclass(frozen=True)
class Listing:
    """How one List operation works.

    `name` is the member of a summary that NameContains looks at; `orders` maps the values of SortBy to members;
    `equals` maps members of the request to members of a summary that must be the same.
    """

    member: str
    name: str
    orders: Mapping[str, str] = field(default_factory=lambda: {"Name": "", "CreationTime": "CreationTime"})
    default_order: str = "CreationTime"
    default_direction: str = "Descending"
    equals: Mapping[str, str] = field(default_factory=dict)
    modified: str = "LastModifiedTime"

    def answer(self, summaries: Sequence[Element], body: Mapping[str, Any]) -> dict[str, Any]:
        """A page of what fits the request."""
        fitting = [each for each in summaries if self._fits(each, body)]
        order = self.orders[body.get("SortBy", self.default_order)] or self.name
        ordered = sorted(fitting, key=lambda each: _comparable(each.get(order)))
        if body.get("SortOrder", self.default_direction) == "Descending":
            ordered.reverse()  # also among equals: those that were made later come first
        return page(self.member, ordered, body)

    def _fits(self, summary: Element, body: Mapping[str, Any]) -> bool:
        text = body.get("NameContains", "").lower()
        return (
            text in str(summary[self.name]).lower()
            and all(member not in body or summary.get(own) == body[member] for member, own in self.equals.items())
            and _within(summary.get("CreationTime"), body, "CreationTime")
            and _within(summary.get(self.modified), body, "LastModifiedTime")
        )


def page(
    member: str,
    elements: Sequence[Any],
    body: Mapping[str, Any],
    *,
    most: int = _PAGE,
    key: Callable[[Any], str] = lambda element: json.dumps(element, sort_keys=True, default=str),
) -> dict[str, Any]:
    """A page of elements that are in order: `MaxResults` of them, or `most`, and the token for what follows.

    Raises:
        Refusal: the token is none, or of another question.
    """
    asked = {name: value for name, value in body.items() if name not in _NOT_ASKED}
    keys = [key(element) for element in elements]
    try:
        start = pages.begin(body.get("NextToken") or "", asked, keys)
    except pages.BadToken:
        raise refusals.validation("Invalid NextToken.") from None
    end = start + body.get("MaxResults", most)
    token = pages.follow(asked, keys, end)
    return {member: list(elements[start:end]), **({"NextToken": token} if token else {})}


def _within(moment: datetime | None, body: Mapping[str, Any], prefix: str) -> bool:
    after, before = body.get(f"{prefix}After"), body.get(f"{prefix}Before")
    if after is None and before is None:
        return True
    if moment is None:
        return False
    told = datetime.fromtimestamp(round(moment.timestamp(), 3), UTC)  # as the service tells it, in milliseconds
    return (after is None or told > after) and (before is None or told < before)


def _comparable(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value or "")
