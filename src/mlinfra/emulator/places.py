"""Places on this machine: so many jobs are at work at once, the others wait as for instances, first come first served.

The host has a queue of its own, but every job in it would have to be looked at; those that wait here cost nothing.
"""

from __future__ import annotations

import os
from collections import deque
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_PER_PROCESSOR = 8  # more than the host runs at once, since a job spends most of its time getting ready


class Ticket:
    """A wish for a place. `granted` says whether it was given; `given_back` that it is not held any more."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self.tell = tell
        self.granted = False
        self.given_back = False


class Places:
    """`count` places, by default several for each processor. Thread-safe."""

    def __init__(self, count: int = 0) -> None:
        self._lock = Lock()
        self._free = count or (os.cpu_count() or 1) * _PER_PROCESSOR
        self._line: deque[Ticket] = deque()

    def ask(self, tell: Callable[[], None]) -> Ticket:
        """Stand in line. `tell` is called, from any thread, when the place is granted."""
        ticket = Ticket(tell)
        with self._lock:
            self._line.append(ticket)
            self._grant()
        return ticket

    def give_back(self, ticket: Ticket) -> None:
        """Leave the place, or the line. Safe to repeat."""
        with self._lock:
            if ticket.given_back:
                return
            ticket.given_back = True
            if ticket.granted:
                self._free += 1
            else:
                self._line.remove(ticket)
            self._grant()

    def _grant(self) -> None:
        while self._free and self._line:
            self._free -= 1
            ticket = self._line.popleft()
            ticket.granted = True
            ticket.tell()
