"""Pages of the List methods: `page_size`, `page_token`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from mlinfra.emulator import pages
from mlinfra.emulator.gcp.wire import refusals
from mlinfra.emulator.gcp.wire.messages import as_document

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PAGE = 100  # elements where a request does not say
_NOT_ASKED = ("pageToken", "pageSize")


class Page(NamedTuple):
    """What one call shows, and the token for the rest; empty at the end."""

    items: list[Any]
    token: str


def page(
    elements: Sequence[Any], message: Any, *, key: Callable[[Any], str], most: int = 1000, usual: int = PAGE
) -> Page:
    """A page of elements that are in order, by the request's `page_size` and `page_token`.

    Raises:
        Refusal: a negative size, or a token that is none, or of another question.
    """
    if message.page_size < 0:
        raise refusals.invalid_argument("Page size cannot be negative.", "page_size")
    asked = {name: value for name, value in as_document(message).items() if name not in _NOT_ASKED}
    keys = [key(element) for element in elements]
    try:
        start = pages.begin(message.page_token, asked, keys)
    except pages.BadToken:
        raise refusals.invalid_argument("Page token is invalid.", "page_token") from None
    end = start + min(message.page_size or usual, most)
    return Page(list(elements[start:end]), pages.follow(asked, keys, end))
