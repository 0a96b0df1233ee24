"""How many requests a deployment's instances handle at once, and how many may wait."""

from __future__ import annotations

from threading import Condition


class Full(Exception):
    """So many requests are pending that another one is refused."""


class Late(Exception):
    """No instance became free in time."""


class Gate:
    """Counts the requests of one fleet. Thread-safe."""

    def __init__(self) -> None:
        self._free = Condition()
        self._pending = 0
        self._handled = 0

    def enter(self, room: int, most: int, timeout: float) -> None:
        """Wait until fewer than `room` requests are handled; `leave` follows. `timeout` in real seconds.

        Raises:
            Full: `most` are pending already.
            Late: nothing became free in time.
        """
        with self._free:
            if self._pending >= most:
                raise Full
            self._pending += 1
            if not self._free.wait_for(lambda: self._handled < room, timeout):
                self._pending -= 1
                raise Late
            self._handled += 1

    def leave(self) -> None:
        """A request has been answered, or given up."""
        with self._free:
            self._handled -= 1
            self._pending -= 1
            self._free.notify()
