"""Lists of objects: a page at a time, what lies below a delimiter folded into prefixes."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlinfra.emulator.gcp.storage import refusals

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlinfra.emulator.gcp.storage.records import Stored
    from mlinfra.emulator.gcp.storage.shelf import Shelf

_PAST_ALL = "\U0010ffff"  # sorts behind every name that begins alike
LARGEST_PAGE = 1000


@dataclass(frozen=True)
class Query:
    """What is to be listed. `begin` is included, `end` is not, `after` is the last entry of the page before."""

    prefix: str = ""
    delimiter: str = ""
    begin: str = ""
    end: str = ""
    after: str = ""
    most: int = LARGEST_PAGE
    trailing: bool = False  # objects that end in the delimiter are told as objects too


@dataclass(frozen=True)
class Page:
    """Objects and prefixes in order, and the last entry of the page where there are more behind it."""

    items: tuple[Stored, ...]
    prefixes: tuple[str, ...]
    last: str = ""


def page(shelf: Shelf, bucket: str, query: Query) -> Page:
    """One page.

    Raises:
        Refusal: there is no such bucket.
    """
    begin = max(query.begin, query.after)
    if query.after and _folded(query.after, query):
        begin = max(begin, query.after + _PAST_ALL)
    items: list[Stored] = []
    prefixes: list[str] = []
    last = ""
    for stored in _from(shelf.names(bucket, query.prefix, begin), query):
        folder = _folded(stored.name, query)
        if folder and prefixes[-1:] == [folder]:
            _tell_trailing(stored, folder, query, items)
            continue
        if len(items) + len(prefixes) >= query.most:
            return Page(tuple(items), tuple(prefixes), last)
        if folder:
            prefixes.append(folder)
            _tell_trailing(stored, folder, query, items)
        else:
            items.append(stored)
        last = folder or stored.name
    return Page(tuple(items), tuple(prefixes))


def token(last: str) -> str:
    """The page token that continues behind an entry."""
    return base64.urlsafe_b64encode(last.encode()).decode()


def after(text: str) -> str:
    """The entry that a page token names; empty without a token.

    Raises:
        Refusal: it was not made here.
    """
    try:
        return base64.b64decode(text, altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise refusals.invalid(f"Invalid page token: '{text}'") from None


def _from(objects: Iterable[Stored], query: Query) -> Iterable[Stored]:
    for stored in objects:
        if query.end and stored.name >= query.end:
            return
        if stored.name != query.after:
            yield stored


def _folded(name: str, query: Query) -> str:
    """The prefix into which a name is folded; empty where it is not."""
    if not query.delimiter:
        return ""
    found = name.find(query.delimiter, len(query.prefix))
    return name[: found + len(query.delimiter)] if found >= 0 else ""


def _tell_trailing(stored: Stored, folder: str, query: Query, items: list[Stored]) -> None:
    if query.trailing and stored.name == folder:
        items.append(stored)
