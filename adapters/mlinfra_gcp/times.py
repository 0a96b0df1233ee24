"""Moments as Google writes them: up to nine digits of a second, of which Python keeps six."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_SECOND = 10**9  # nanoseconds
_FRACTION = re.compile(r"\.(\d{1,9})")


def time_of(text: str | None) -> datetime | None:
    """The moment that a text names, to the microsecond; one without a zone is UTC."""
    if not text:
        return None
    moment = datetime.fromisoformat(_FRACTION.sub(lambda found: f".{found[1][:6]:0<6}", text))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def nanoseconds(text: str) -> int:
    """A moment with all its digits, since 1970."""
    whole = time_of(_FRACTION.sub("", text))
    found = _FRACTION.search(text)
    if whole is None:
        return 0
    return int(whole.timestamp()) * _SECOND + (int(f"{found[1]:0<9}") if found else 0)


def text_of(moment: int) -> str:
    """The inverse of `nanoseconds`, as Google's filters take it."""
    seconds, rest = divmod(moment, _SECOND)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09}Z"
