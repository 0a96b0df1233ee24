"""The same work on many files, several at once, with a word of progress now and then."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mlinfra.engine.session import Session

THREADS = 8  # object stores answer in tens of milliseconds; more threads gain little on two cores
SAY_EVERY = 5.0  # seconds
_MEGABYTE = 1_000_000
_Part = TypeVar("_Part")


def each(session: Session, title: str, parts: Sequence[_Part], work: Callable[[_Part], int]) -> None:
    """Do the work on every part; it returns the bytes that it moved. The first failure ends the rest and is raised."""
    progress = _Progress(session, title, len(parts))
    if len(parts) == 1:
        progress.add(work(parts[0]))
        return
    with ThreadPoolExecutor(THREADS) as pool:
        futures = [pool.submit(work, part) for part in parts]
        try:
            for future in futures:
                progress.add(future.result())
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


class _Progress:
    """Says how far the work got, at most every few seconds, so that quick work says nothing."""

    def __init__(self, session: Session, title: str, total: int) -> None:
        self._session = session
        self._title = title
        self._total = total
        self._done = 0
        self._bytes = 0
        self._said = session.clock.monotonic()

    def add(self, size: int) -> None:
        self._done += 1
        self._bytes += size
        now = self._session.clock.monotonic()
        if now - self._said >= SAY_EVERY:
            self._said = now
            moved = f"{self._bytes / _MEGABYTE:,.0f} MB"
            self._session.say(f"{self._title}: {self._done:,} of {self._total:,} files, {moved}")
