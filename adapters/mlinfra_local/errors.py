"""The host's errors as ours. They are ours already, so the table is empty, and only the disk has words of its own."""

from __future__ import annotations

import errno
import sqlite3

from mlinfra.errors import CapacityUnavailable, Denied, MlinfraError, Unavailable

_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_RIGHTS = {errno.EACCES, errno.EPERM, errno.EROFS}


def translate(exc: Exception) -> MlinfraError:
    """The error of ours that says what happened. Total: what it does not know is Unavailable, outcome unknown."""
    if isinstance(exc, MlinfraError):
        return exc
    if isinstance(exc, OSError) and exc.errno in _ROOM:
        return CapacityUnavailable(
            "the disk has no room", given=exc.filename or str(exc), todo="make room and run again", sent=False
        )
    if isinstance(exc, OSError) and exc.errno in _RIGHTS:
        return Denied(f"this user may not: {exc.strerror}", given=exc.filename or str(exc))
    if isinstance(exc, sqlite3.OperationalError) and "full" in str(exc):
        return CapacityUnavailable("the disk has no room", given=str(exc), todo="make room and run again", sent=False)
    return Unavailable(f"the host did not answer: {type(exc).__name__}: {exc}")
