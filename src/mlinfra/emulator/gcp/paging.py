"""Pages of the List methods: `page_size`, `page_token`.

A token says after which element to go on, so that what comes and goes between two pages shifts nothing; it belongs
to the question that it was given for.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from mlinfra.emulator.gcp.wire import refusals
from mlinfra.emulator.gcp.wire.messages import as_document

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mlinfra.emulator.calls import Refusal

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
    asked = _digest({name: value for name, value in as_document(message).items() if name not in _NOT_ASKED})
    start = _start(message.page_token, asked, [key(element) for element in elements])
    size = min(message.page_size or usual, most)
    shown = list(elements[start : start + size])
    if start + size >= len(elements):
        return Page(shown, "")
    return Page(shown, _token({"q": asked, "after": key(shown[-1]), "at": start + size}))


def _start(token: str, asked: str, keys: Sequence[str]) -> int:
    if not token:
        return 0
    try:
        told = json.loads(base64.urlsafe_b64decode(token))
        after, at, question = told["after"], int(told["at"]), told["q"]
    except (ValueError, KeyError, TypeError):
        raise _bad_token() from None
    if question != asked:
        raise _bad_token()
    return keys.index(after) + 1 if after in keys else min(at, len(keys))


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _token(document: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode()


def _bad_token() -> Refusal:
    return refusals.invalid_argument("Page token is invalid.", "page_token")
