"""Waiting in virtual time for what happens in real time, until there is no more time or the emulator stops."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event

    from mlinfra.emulator.clock import Clock

_GLANCE = 0.05  # s of real time between two looks
LEAST = 5.0  # s of real time that a process always gets, however quick the clock is


class Stopped(Exception):
    """The emulator stops; whatever was under way ends here."""


class Deadline:
    """A moment in virtual time that real work has to meet. It lies never less than some real seconds ahead."""

    def __init__(self, clock: Clock, seconds: float, *, least: float | None = None) -> None:
        self._clock = clock
        self._end = clock.monotonic() + seconds
        self._real = time.monotonic() + (LEAST if least is None else least)

    @property
    def has_passed(self) -> bool:
        """Whether the time is over."""
        return self._clock.monotonic() >= self._end and time.monotonic() >= self._real


class Waiting:
    """Waits that `stop` ends."""

    def __init__(self, clock: Clock, stop: Event) -> None:
        self.clock = clock
        self._stop = stop

    def sleep(self, seconds: float) -> None:
        """Wait so many virtual seconds. Stopped when the emulator stops."""
        if not self.clock.sleep(seconds, self._stop):
            raise Stopped

    def until(self, answer: Callable[[], str | None], deadline: Deadline, late: str) -> str:
        """Ask again and again until there is an answer; `late` when the deadline has passed.

        Raises:
            Stopped: the emulator stops.
        """
        while True:
            found = answer()
            if found is not None:
                return found
            if deadline.has_passed:
                return late
            if self._stop.wait(_GLANCE):
                raise Stopped
