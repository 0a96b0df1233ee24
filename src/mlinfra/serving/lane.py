"""One thread for predictions that are too slow for the event loop, with a bounded queue before it.

One and no more: a loaded model may keep buffers of its own, and a second thread would only share the same core.
"""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

_ALWAYS = 4  # requests that may wait whatever they cost, so that a slow model is not refused while it is idle


class Lane:
    """Work is done in the order in which it came; `done` is called on the loop with its result."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: int, budget: float) -> None:
        self._loop = loop
        self._limit = limit
        self._budget = budget
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="predict", daemon=True)
        self.length = 0  # waiting and under way
        self.backlog = 0.0  # their expected seconds

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def admits(self, cost: float) -> bool:
        """Whether work of that many seconds may still queue."""
        if self.length >= self._limit:
            return False
        return self.length < _ALWAYS or self.backlog + cost <= self._budget

    def submit(self, work: Callable[[], Any], done: Callable[[Any], None], cost: float) -> None:
        """Queue work that must not raise."""
        self.length += 1
        self.backlog += cost

        def finish(result: Any) -> None:
            self.length -= 1
            self.backlog = self.backlog - cost if self.length else 0.0
            done(result)

        self._work.put(lambda: self._post(finish, work()))

    @property
    def is_busy(self) -> bool:
        """Whether something is under way, which nobody waits for once the loop has ended."""
        return self.length > 0

    def stop(self) -> None:
        """End the thread after what is queued."""
        self._work.put(None)

    def _post(self, finish: Callable[[Any], None], result: Any) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(finish, result)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()
