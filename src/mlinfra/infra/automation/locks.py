"""Who holds a stack: what a refused engine says of the lock, and whether the lock is a dead process's of ours."""

from __future__ import annotations

import getpass
import re
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from mlinfra.engine.liveness import died_here
from mlinfra.errors import Conflict

if TYPE_CHECKING:
    from collections.abc import Callable

# As the engine's file backends word it (`pkg/backend/diy/lock.go`).
_LINE: Final = re.compile(
    r"^\s*(?P<place>\S+): created by (?P<user>.+?)@(?P<host>\S+) \(pid (?P<pid>\d+)\) at (?P<time>\S+)", re.MULTILINE
)
_MINUTE: Final = 60  # s
_HOUR: Final = 3600


@dataclass(frozen=True)
class Lock:
    """One lock on a stack."""

    place: str
    user: str
    host: str
    pid: int
    since: datetime

    @property
    def is_stale(self) -> bool:
        """Whether it is our own and its process is gone. Of other people's and other machines' nothing is known."""
        return self.user == getpass.getuser() and died_here(self.host, self.pid)

    def told(self, now: datetime) -> str:
        """Owner and age."""
        return f"{self.user}@{self.host}, process {self.pid}, for {_length((now - self.since).total_seconds())}"


def read(said: str) -> list[Lock]:
    """The locks that the engine named when it refused to run."""
    return [
        Lock(
            match["place"],
            match["user"],
            match["host"],
            int(match["pid"]),
            datetime.fromisoformat(match["time"]).astimezone(UTC),
        )
        for match in _LINE.finditer(said)
    ]


def release(locks: list[Lock], cancel: Callable[[], None]) -> bool:
    """Remove the locks where all are of dead processes of ours; else touch none and say False.

    A file is removed by its name; elsewhere `cancel` has the engine do it, which removes every lock of the stack.
    """
    if not locks or not all(lock.is_stale for lock in locks):
        return False
    if not all(lock.place.startswith("file://") for lock in locks):
        cancel()
        return True
    for lock in locks:
        Path(unquote(urlsplit(lock.place).path)).unlink(missing_ok=True)
    return True


def refusal(stack: str, locks: list[Lock], said: str) -> Conflict:
    """The error for a stack that somebody else works on."""
    now = datetime.now(UTC)
    holders = "; ".join(lock.told(now) for lock in locks)
    here = [lock for lock in locks if lock.host == socket.gethostname()]
    todo = "wait until that process has ended" if here else "ask its owner, or wait until it is done"
    return Conflict(
        f"somebody else is at work on stack {stack}",
        given=holders or said.strip().splitlines()[-1],
        todo=f"{todo}; where it is gone for certain: pulumi cancel --stack {stack}",
    )


def _length(seconds: float) -> str:
    if seconds < _MINUTE:
        return f"{max(0, seconds):.0f} s"
    return f"{seconds / _MINUTE:.0f} min" if seconds < _HOUR else f"{seconds / _HOUR:.1f} h"
