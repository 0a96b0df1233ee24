"""What processes use of this machine, as its /proc tells."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

from mlinfra.host import processes

if TYPE_CHECKING:
    from collections.abc import Iterable

_PROC = Path("/proc")
_USER, _SYSTEM = 11, 12  # fields of /proc/PID/stat behind the name

K = TypeVar("K")


class Used(NamedTuple):
    """What the processes of one server use."""

    memory: float  # bytes
    processors: float | None  # how many of them since the last look; None at the first


class Usage(Generic[K]):
    """Measures from one look to the next. Nothing where the system has no /proc."""

    def __init__(self) -> None:
        self._before: WeakKeyDictionary[K, dict[int, tuple[float, float]]] = WeakKeyDictionary()

    def look(self, fleet: K, number: int, word: str) -> Used | None:
        """What a fleet's server of that number uses, whose processes are known by a word; None where there are none."""
        before = self._before.setdefault(fleet, {})
        pids = processes.belonging(word) if _PROC.is_dir() else []
        if not pids:
            before.pop(number, None)
            return None
        seconds, now = _cpu_seconds(pids), time.monotonic()
        earlier, at = before.get(number, (0.0, now))
        before[number] = seconds, now
        share = max(0.0, seconds - earlier) / (now - at) if now > at else None
        return Used(float(processes.proportional(pids, processes.table())), share)


def total_memory() -> float:
    """The bytes of this machine's memory."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (ValueError, OSError):  # a system that does not tell
        return float("inf")


def _cpu_seconds(pids: Iterable[int]) -> float:
    """The processor time that processes have used so far; one that has ended counts nothing."""
    return sum(map(_seconds, pids))


def _seconds(pid: int) -> float:
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:  # it has ended
        return 0.0
    fields = text[text.rindex(")") + 2 :].split()
    return (int(fields[_USER]) + int(fields[_SYSTEM])) / os.sysconf("SC_CLK_TCK")
