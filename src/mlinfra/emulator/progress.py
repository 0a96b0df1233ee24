"""What the work of a long-running operation is handed: how it lets time pass, and learns that it is to end."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threading import Event

    from mlinfra.emulator.clock import Clock
    from mlinfra.emulator.delays import Delays


class Cancelled(Exception):
    """The operation's work found that it is to end."""


class Progress:
    """The view that one operation's work has of time, and of `stop`, which is set when it is to end."""

    def __init__(self, clock: Clock, delays: Delays, stop: Event) -> None:
        self._clock = clock
        self._delays = delays
        self._stop = stop

    @property
    def cancelled(self) -> bool:
        """Whether somebody cancelled it, or the emulator ends."""
        return self._stop.is_set()

    def wait(self, stage: str) -> None:
        """Let the time pass that a stage takes, by the emulator's table of delays: `wait("deploy.Provisioning")`.

        Raises:
            Cancelled: meanwhile it was to end.
        """
        self.sleep(self._delays.seconds(stage))

    def sleep(self, seconds: float) -> None:
        """Let virtual seconds pass.

        Raises:
            Cancelled: meanwhile it was to end.
        """
        if not self._clock.sleep(seconds, self._stop):
            raise Cancelled
