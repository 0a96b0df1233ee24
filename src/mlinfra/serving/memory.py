"""How much memory there is, how much this process holds, and giving back what the allocator keeps."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_STATM = Path("/proc/self/statm")
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_SHARE = 0.8  # of the container's or the machine's memory, where nobody set a limit


def resident() -> int:
    """Bytes that this process holds in memory; 0 where the system does not tell."""
    try:
        return int(_STATM.read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def usual_limit() -> int:
    """Bytes that the process may hold where nobody set a limit."""
    return int(_SHARE * min(_of_the_container(), os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")))


def give_back() -> None:
    """Let the system have the memory that was freed, where the allocator can."""
    _trimmer()(0)


def _of_the_container() -> float:
    for path in _LIMITS:
        try:
            text = path.read_text().strip()
        except OSError:
            continue
        if text.isdigit():
            return float(text)
    return float("inf")


@cache
def _trimmer() -> Callable[[int], object]:
    try:
        trim: Callable[[int], object] = ctypes.CDLL(None).malloc_trim  # glibc's alone
    except (OSError, AttributeError):
        return lambda _pad: None
    return trim
