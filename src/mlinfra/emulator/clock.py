"""The emulator's time: real time, or quicker, or moved by hand."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threading import Event

_GLANCE = 0.05  # s of real time between two looks at a stop event


class Clock:
    """Virtual time that runs `speed` times as fast as the machine's and jumps when told to. Thread-safe."""

    def __init__(self, speed: float = 1.0) -> None:
        if speed <= 0:
            raise ValueError(f"speed must be above 0, not {speed}")
        self.speed = speed
        self._origin = time.monotonic()
        self._epoch = datetime.now(UTC)
        self._skipped = 0.0
        self._moved = threading.Condition()

    def monotonic(self) -> float:
        """Virtual seconds since the clock was made; never goes back."""
        return (time.monotonic() - self._origin) * self.speed + self._skipped

    def now(self) -> datetime:
        """The virtual moment, UTC."""
        return self._epoch + timedelta(seconds=self.monotonic())

    def ahead(self) -> timedelta:
        """How far it is ahead of the machine's clock, by which what runs here stamps its lines."""
        return self.now() - datetime.now(UTC)

    def advance(self, seconds: float) -> None:
        """Move virtual time forward at once; who sleeps until then wakes."""
        if seconds < 0:
            raise ValueError("time does not go back")
        with self._moved:
            self._skipped += seconds
            self._moved.notify_all()

    def sleep(self, seconds: float, stop: Event | None = None) -> bool:
        """Block for that many virtual seconds, or until `stop` is set. Tells whether the time has passed in full."""
        end = self.monotonic() + seconds
        with self._moved:
            while (left := end - self.monotonic()) > 0:
                if stop and stop.is_set():
                    return False
                real = left / self.speed
                self._moved.wait(min(real, _GLANCE) if stop else real)
        return True
