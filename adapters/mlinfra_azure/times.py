"""Azure's moments: ISO 8601 with up to seven digits of a second, and with or without its zone."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_FRACTION = re.compile(r"\.(\d{1,6})\d*")


def time_of(text: str | None) -> datetime | None:
    """A moment as the service writes it; None for none, or for what is no moment."""
    if not text:
        return None
    short = _FRACTION.sub(lambda found: f".{found[1]:0<6}", text.replace("Z", "+00:00"))
    try:
        moment = datetime.fromisoformat(short)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
