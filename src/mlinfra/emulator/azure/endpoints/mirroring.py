"""Mirrored traffic: whose turn it is to be copied, and where copies are sent from."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import BoundedSemaphore, Lock
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from mlinfra.emulator.hosting.split import Split, sample

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlinfra.emulator.azure.endpoints.records import Endpoint

_COPIES = 8  # under way at once; more are not sent


class Mirroring:
    """The copies of all endpoints. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._samples: WeakKeyDictionary[Endpoint, tuple[dict[str, int], Split[bool]]] = WeakKeyDictionary()
        self._pool = ThreadPoolExecutor(_COPIES, "mirror")
        self._room = BoundedSemaphore(_COPIES)

    def next(self, endpoint: Endpoint) -> str:
        """To which deployment the next request is copied; empty where to none."""
        shares = endpoint.mirror.now()
        with self._lock:
            known, turns = self._samples.get(endpoint, ({}, Split({})))
            if known != shares:
                turns = sample(float(sum(shares.values())))
                self._samples[endpoint] = (shares, turns)
            return next(iter(shares), "") if turns.next() else ""

    def submit(self, send: Callable[[], None]) -> bool:
        """Send a copy soon, unless so many are under way; tells whether it will be."""
        if not self._room.acquire(blocking=False):
            return False

        def run() -> None:
            try:
                send()
            finally:
                self._room.release()

        with suppress(RuntimeError):  # the emulator stops
            self._pool.submit(run)
            return True
        self._room.release()
        return False

    def stop(self) -> None:
        """Send no more copies."""
        self._pool.shutdown(wait=False, cancel_futures=True)
