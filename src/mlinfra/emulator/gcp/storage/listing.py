"""Lists of objects of a bucket: a page at a time, what lies below a delimiter folded into prefixes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mlinfra.emulator.gcp.storage import refusals
from mlinfra.emulator.objects import listing
from mlinfra.emulator.objects.listing import Page, Query, token

if TYPE_CHECKING:
    from mlinfra.emulator.gcp.storage.records import Stored
    from mlinfra.emulator.gcp.storage.shelf import Shelf

LARGEST_PAGE = 1000

__all__ = ["LARGEST_PAGE", "Page", "Query", "after", "page", "token"]


def page(shelf: Shelf, bucket: str, query: Query) -> Page[Stored]:
    """One page.

    Raises:
        Refusal: there is no such bucket.
    """
    return listing.page(partial(shelf.names, bucket), query)


def after(text: str) -> str:
    """The entry that a page token names; empty without a token.

    Raises:
        Refusal: it was not made here.
    """
    found = listing.after(text)
    if found is None:
        raise refusals.invalid(f"Invalid page token: '{text}'")
    return found
