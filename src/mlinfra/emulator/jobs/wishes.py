"""What is asked of a job while it runs, and how often it is looked at."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHORTEST_GLANCE, _LONGEST_GLANCE = 0.02, 0.25  # real seconds between two looks at a container


class Wishes:
    """What was asked of a job that runs. `woken` is set with each of them, so that a wait ends."""

    def __init__(self) -> None:
        self.woken = Event()
        self._made: set[str] = set()

    def wish(self, name: str) -> None:
        """Ask for one of them, by its cloud's word; `abandon` on every cloud, when the emulator ends."""
        self._made.add(name)
        self.woken.set()

    def has(self, name: str) -> bool:
        """Whether it was asked for."""
        return name in self._made

    def take(self, name: str) -> bool:
        """Whether it was asked for; from now on it is not."""
        asked = name in self._made
        self._made.discard(name)
        return asked


def glances() -> Iterator[float]:
    """Real seconds between looks: short at first, since most emulated jobs are."""
    glance = _SHORTEST_GLANCE
    while True:
        yield glance
        glance = min(glance * 1.5, _LONGEST_GLANCE)
