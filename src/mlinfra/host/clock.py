"""Times as the host writes them: UTC, microseconds, fixed width, so that they sort as text."""

from __future__ import annotations

import time

_WHOLE = "%Y-%m-%dT%H:%M:%S"
_WIDTH = 19  # characters of the whole seconds


def stamp(seconds: float | None = None) -> str:
    """A moment in seconds since the epoch, now if not given, as `2026-11-21T08:58:00.123456Z`."""
    micros = time.time_ns() // 1000 if seconds is None else round(seconds * 1_000_000)
    whole, rest = divmod(micros, 1_000_000)
    return f"{time.strftime(_WHOLE, time.gmtime(whole))}.{rest:06d}Z"


def canonical(text: str) -> str:
    """Any ISO 8601 moment with an offset, as `stamp` writes it, so that texts compare as moments.

    Raises:
        ValueError: it is no such moment.
    """
    from datetime import datetime  # noqa: PLC0415  supervisors stamp but never read foreign times

    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no offset from UTC")
    return stamp(moment.timestamp())


def seconds(text: str) -> float:
    """The inverse of `stamp`, in seconds since the epoch."""
    from calendar import timegm  # noqa: PLC0415  supervisors stamp but never read times

    return timegm(time.strptime(text[:_WIDTH], _WHOLE)) + float(text[_WIDTH:-1] or 0)
