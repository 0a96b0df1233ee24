"""Lists of objects: a page at a time, what lies below a delimiter folded into prefixes."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from mlinfra.emulator.objects.names import Named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T", bound=Named)
_PAST_ALL = "\U0010ffff"  # sorts behind every name that begins alike


@dataclass(frozen=True)
class Query:
    """What is to be listed. `begin` is included, `end` is not, `after` is the last entry of the page before."""

    prefix: str = ""
    delimiter: str = ""
    begin: str = ""
    end: str = ""
    after: str = ""
    most: int = 1000
    trailing: bool = False  # objects that end in the delimiter are told as objects too


@dataclass(frozen=True)
class Page(Generic[T]):
    """Objects and prefixes in order, and the last entry of the page where there are more behind it."""

    items: tuple[T, ...]
    prefixes: tuple[str, ...]
    last: str = ""


def page(starting: Callable[[str, str], Iterable[T]], query: Query) -> Page[T]:
    """One page of the objects that `starting` lists in order, by prefix and by the name from which on."""
    begin = max(query.begin, query.after)
    if query.after and _folded(query.after, query):
        begin = max(begin, query.after + _PAST_ALL)
    items: list[T] = []
    prefixes: list[str] = []
    last = ""
    for item in _from(starting(query.prefix, begin), query):
        folder = _folded(item.name, query)
        if folder and prefixes[-1:] == [folder]:
            _tell_trailing(item, folder, query, items)
            continue
        if len(items) + len(prefixes) >= query.most:
            return Page(tuple(items), tuple(prefixes), last)
        if folder:
            prefixes.append(folder)
            _tell_trailing(item, folder, query, items)
        else:
            items.append(item)
        last = folder or item.name
    return Page(tuple(items), tuple(prefixes))


def token(last: str) -> str:
    """The page token that continues behind an entry."""
    return base64.urlsafe_b64encode(last.encode()).decode()


def after(text: str) -> str | None:
    """The entry that a page token names; empty without a token, None where it was not made here."""
    try:
        return base64.b64decode(text, altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


def _from(items: Iterable[T], query: Query) -> Iterable[T]:
    for item in items:
        if query.end and item.name >= query.end:
            return
        if item.name != query.after:
            yield item


def _folded(name: str, query: Query) -> str:
    """The prefix into which a name is folded; empty where it is not."""
    if not query.delimiter:
        return ""
    found = name.find(query.delimiter, len(query.prefix))
    return name[: found + len(query.delimiter)] if found >= 0 else ""


def _tell_trailing(item: T, folder: str, query: Query, items: list[T]) -> None:
    if query.trailing and item.name == folder:
        items.append(item)
