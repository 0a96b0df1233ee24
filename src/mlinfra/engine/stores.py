"""The environment's stores as the engine uses them: every call made again until it succeeds or patience ends.

Adapters' stores, like their clients, send once. What may be repeated, how often and after which pause is decided
here, for all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from mlinfra.engine.pauses import patiently
from mlinfra.errors import Conflict, TemporaryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from mlinfra.contract.store import ObjectInfo, Store
    from mlinfra.engine.clock import Clock

Result = TypeVar("Result")


class PatientStore:
    """A store whose calls raise `TemporaryError` only when all tries have failed."""

    def __init__(self, store: Store, clock: Clock, say: Callable[[str], None]) -> None:
        self._store = store
        self._clock = clock
        self._say = say

    def uri(self, key: str) -> str:
        """The address of an object or prefix."""
        return self._store.uri(key)

    def key(self, uri: str) -> str:
        """The inverse of `uri`."""
        return self._store.key(uri)

    def put(
        self,
        key: str,
        content: bytes | Path,
        *,
        metadata: Mapping[str, str] | None = None,
        if_absent: bool = False,
        if_match: str | None = None,
    ) -> ObjectInfo:
        """Write an object; a condition that our own first try, whose answer was lost, has broken counts as held."""
        doubtful: list[TemporaryError] = []

        def put() -> ObjectInfo:
            try:
                return self._store.put(key, content, metadata=metadata, if_absent=if_absent, if_match=if_match)
            except TemporaryError as exc:
                doubtful.append(exc)
                raise
            except Conflict:
                mine = self._mine(key, content) if any(each.sent for each in doubtful) else None
                if mine is None:
                    raise
                return mine

        return self._patiently(put)

    def get(self, key: str) -> bytes:
        """The whole content."""
        return self._patiently(lambda: self._store.get(key))

    def download(self, key: str, target: Path) -> None:
        """Stream an object into a file."""
        self._patiently(lambda: self._store.download(key, target))

    def head(self, key: str) -> ObjectInfo | None:
        """What is known of the object, None where there is none."""
        return self._patiently(lambda: self._store.head(key))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """The objects below a prefix in the order of their keys; after a failure it goes on where it stood."""
        last = ""
        rest: Iterator[ObjectInfo] | None = None

        def following() -> ObjectInfo | None:
            nonlocal rest
            if rest is None:
                rest = (info for info in self._store.list(prefix) if info.key > last)
            try:
                return next(rest, None)
            except TemporaryError:
                rest = None
                raise

        while (info := self._patiently(following)) is not None:
            last = info.key
            yield info

    def delete(self, key: str) -> None:
        """Remove an object."""
        self._patiently(lambda: self._store.delete(key))

    def _mine(self, key: str, content: bytes | Path) -> ObjectInfo | None:
        """The object, where it holds what we meant to write. Only records are written on conditions: small bytes."""
        info = self._store.head(key)
        return info if info and isinstance(content, bytes) and self._store.get(key) == content else None

    def _patiently(self, call: Callable[[], Result]) -> Result:
        return patiently(call, self._clock, self._say)
