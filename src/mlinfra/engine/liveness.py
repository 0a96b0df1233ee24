"""Whether a process of this machine still lives: what a dead one held may be taken over."""

from __future__ import annotations

import os
import socket


def is_alive(pid: int) -> bool:
    """Whether there is such a process here, whoever's it is."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def died_here(host: str, pid: int) -> bool:
    """Whether it was a process of this machine that is gone; of other machines nothing is known."""
    return host == socket.gethostname() and not is_alive(pid)
