"""Pages of lists: `$top` or `count`, `$skip`, and `nextLink`, which is the whole address of what follows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from mlinfra.emulator import pages
from mlinfra.emulator.azure.wire import refusals

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mlinfra.emulator.azure.operations import Request

_SIZES = ("$top", "count")  # some lists take the one, some the other
_SKIP = "$skip"
_NOT_ASKED = {_SKIP, *_SIZES, "api-version"}  # what a question is the same without
PAGE = 30  # elements where a request does not say


def page(
    elements: Sequence[Any], request: Request, *, key: Callable[[Any], str], told: Callable[[Any], Any] | None = None
) -> dict[str, Any]:
    """The document of a page of elements that are in order: `{"value": […], "nextLink": …}`.

    `key` names an element uniquely; `told` makes the document of one.

    Raises:
        Refusal: `$top` or `$skip` are none.
    """
    size, keys = _size(request), [key(each) for each in elements]
    question = [request.id, sorted((name, value) for name, value in request.query.items() if name not in _NOT_ASKED)]
    try:
        start = pages.begin(request.query.get(_SKIP, ""), question, keys)
    except pages.BadToken:
        raise refusals.invalid("The continuation token is invalid.", _SKIP) from None
    shown = elements[start : start + size]
    found: dict[str, Any] = {"value": [told(each) if told else each for each in shown]}
    token = pages.follow(question, keys, start + size)
    if token:
        found["nextLink"] = f"{request.address}{request.id}?{urlencode({**request.query, _SKIP: token}, safe='$')}"
    return found


def _size(request: Request) -> int:
    name = next((each for each in _SIZES if request.query.get(each)), "")
    if not name:
        return PAGE
    text = request.query[name]
    if not text.isdigit() or int(text) < 1:
        raise refusals.invalid(f"The value '{text}' of {name} is no positive number.", name)
    return int(text)
