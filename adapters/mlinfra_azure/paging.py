"""Pages of Azure Resource Manager's lists: `nextLink` leads to the next, and holds the token in `$skip`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping


def next_page(reply: Mapping[str, Any]) -> str | None:
    """The token that asks for the next page, None at the end."""
    found = parse_qs(urlsplit(reply.get("nextLink") or "").query)
    skip = next((values[0] for name, values in found.items() if name.lower() in {"$skip", "$skiptoken"}), "")
    return skip or None
