"""The containers of a job's attempts, looked at in real time from their start to their end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from mlinfra.emulator.jobs.wishes import glances

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlinfra.emulator.jobs.hosted import Hosted
    from mlinfra.emulator.jobs.mishaps import JobMishaps
    from mlinfra.emulator.jobs.pace import JobPace
    from mlinfra.emulator.places import Ticket

_GONE = "ended"
_PLACE_GLANCE = 1.0  # real seconds between two looks of a job that waits for its place


class Attempt(Protocol):
    """One attempt at a job: its containers on the host, and what is carried from them while they run."""

    @property
    def containers(self) -> Hosted: ...  # noqa: D102  told above

    def carry(self, *, last: bool = False) -> None:
        """Carry what is new; the `last` time all that is there."""


class Watch:
    """One job's, over all attempts. `late` is what ends it when it has run for `limit` virtual seconds."""

    def __init__(
        self, pace: JobPace[Any], mishaps: JobMishaps[Any], limit: float, late: Callable[[], Exception]
    ) -> None:
        self._pace = pace
        self._mishaps = mishaps
        self._left = limit
        self._late = late

    def until_granted(self, ticket: Ticket) -> None:
        """Wait in line for a place on this machine."""
        while not ticket.granted:
            self._pace.glance(_PLACE_GLANCE)

    def until_started(self, attempt: Attempt) -> None:
        """Wait until the containers run, or have ended already."""
        for glance in glances():
            if attempt.containers.state():
                return
            self._pace.glance(glance)

    def until_gone(self, attempt: Attempt) -> None:
        """Wait until the containers have ended, carry what they write, and let them meet mishaps."""
        clock = self._pace.clock
        since = clock.monotonic()
        try:
            for glance in glances():
                gone = attempt.containers.state() == _GONE
                attempt.carry(last=gone)
                if gone:
                    return
                passed = clock.monotonic() - since
                if passed >= self._left:
                    raise self._late()
                self._mishaps.meet(passed)
                self._pace.glance(glance)
        finally:
            self._left -= clock.monotonic() - since

    def wind_down(self, attempt: Attempt, grace: float) -> None:
        """Give the containers so many virtual seconds after SIGTERM, then end them; carry what they still write."""
        clock = self._pace.clock
        since = clock.monotonic()
        attempt.containers.stop()
        for glance in glances():
            if attempt.containers.state() == _GONE:
                break
            self._pace.grace(glance)
            attempt.carry()
            if clock.monotonic() >= since + grace:
                attempt.containers.kill()
        attempt.carry(last=True)
        self._left -= clock.monotonic() - since
