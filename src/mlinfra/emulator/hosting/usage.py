"""What processes use of this machine, as its /proc tells."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

PROC = Path("/proc")
_USER, _SYSTEM = 11, 12  # fields of /proc/PID/stat behind the name


def cpu_seconds(pids: Iterable[int]) -> float:
    """The processor time that processes have used so far; one that has ended counts nothing."""
    return sum(map(_cpu_seconds, pids))


def _cpu_seconds(pid: int) -> float:
    try:
        text = (PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:  # it has ended
        return 0.0
    fields = text[text.rindex(")") + 2 :].split()
    return (int(fields[_USER]) + int(fields[_SYSTEM])) / os.sysconf("SC_CLK_TCK")
