"""Records of one kind, as a service keeps them: written at once, listed a little later."""

from __future__ import annotations

from threading import RLock
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlinfra.emulator.clock import Clock

T = TypeVar("T")


class Duplicate(KeyError):
    """There is a record under that key already."""


class _Row(Generic[T]):
    __slots__ = ("born", "gone", "item", "key")

    def __init__(self, key: str, item: T, born: float) -> None:
        self.key = key
        self.item = item
        self.born = born
        self.gone: float | None = None


class Table(Generic[T]):
    """Records by key. Look-ups see every write at once; lists lag by `lag` virtual seconds. Thread-safe.

    `lock` makes several calls one: a look and the write that depends on it.
    """

    def __init__(self, clock: Clock, lag: float = 0.0) -> None:
        self.lock = RLock()
        self.lag = lag
        self._clock = clock
        self._rows: dict[str, _Row[T]] = {}
        self._gone: list[_Row[T]] = []

    def add(self, key: str, item: T) -> None:
        """Put a new record in.

        Raises:
            Duplicate: there is one under that key.
        """
        with self.lock:
            if key in self._rows:
                raise Duplicate(key)
            self._rows[key] = _Row(key, item, self._clock.monotonic())

    def get(self, key: str) -> T | None:
        """The record under a key, None where there is none."""
        with self.lock:
            row = self._rows.get(key)
            return row.item if row else None

    def put(self, key: str, item: T) -> None:
        """Put a record in the place of the one under its key, which keeps its age; or in, where there is none."""
        with self.lock:
            row = self._rows.get(key)
            if row is None:
                self.add(key, item)
            else:
                row.item = item

    def remove(self, key: str) -> T | None:
        """Take a record out and return it, None where there is none."""
        with self.lock:
            row = self._rows.pop(key, None)
            if row is None:
                return None
            row.gone = self._clock.monotonic()
            self._forget()
            if self.lag:
                self._gone.append(row)
            return row.item

    def listed(self) -> list[T]:
        """What a list shows, in the order of creation.

        Without what is younger than the lag, still with what was removed within it.
        """
        with self.lock:
            self._forget()
            seen = self._clock.monotonic() - self.lag
            rows = sorted([*self._gone, *self._rows.values()], key=lambda row: row.born)
            return [row.item for row in rows if row.born <= seen]

    def items(self) -> list[tuple[str, T]]:
        """Every record there is, with its key, in the order of creation; this sees every write at once."""
        with self.lock:
            return [(key, row.item) for key, row in self._rows.items()]

    def values(self) -> list[T]:
        """Every record there is, as `items`."""
        return [item for _, item in self.items()]

    def __contains__(self, key: str) -> bool:
        with self.lock:
            return key in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter([key for key, _ in self.items()])

    def __len__(self) -> int:
        with self.lock:
            return len(self._rows)

    def _forget(self) -> None:
        """Drop what was removed so long ago that no list shows it."""
        limit = self._clock.monotonic() - self.lag
        self._gone = [row for row in self._gone if row.gone is not None and row.gone > limit]
