"""Objects by name, in the order of their names: by code points, which is the order of UTF-8."""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator


class Named(Protocol):
    """What has a name."""

    @property
    def name(self) -> str:
        """By which it is found, and listed."""
        ...


T = TypeVar("T", bound=Named)


class InOrder(Generic[T]):
    """A mapping that lists by prefix. Its owner holds the lock."""

    def __init__(self) -> None:
        self._items: dict[str, T] = {}
        self._names: list[str] = []

    def put(self, item: T) -> None:
        """Put one in, in the place of the one of its name."""
        if item.name not in self._items:
            insort(self._names, item.name)
        self._items[item.name] = item

    def get(self, name: str) -> T | None:
        """The one of that name, None where there is none."""
        return self._items.get(name)

    def drop(self, name: str) -> None:
        """Take one out. KeyError where there is none."""
        del self._items[name]
        del self._names[bisect_left(self._names, name)]

    def starting(self, prefix: str, begin: str = "") -> list[T]:
        """Those whose names begin with the prefix and do not come before `begin`, in order."""
        found = []
        for name in self._names[bisect_left(self._names, max(prefix, begin)) :]:
            if not name.startswith(prefix):
                break
            found.append(self._items[name])
        return found

    def __iter__(self) -> Iterator[T]:
        return iter([self._items[name] for name in self._names])

    def __len__(self) -> int:
        return len(self._items)


def is_text(name: str) -> bool:
    """Whether a name was UTF-8 on the wire."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
