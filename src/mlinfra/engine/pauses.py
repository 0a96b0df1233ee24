"""How often what failed for the time being is tried, and how long it rests in between: the same for every call."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlinfra.errors import TemporaryError

TRIES = 8
FIRST_PAUSE = 0.5  # seconds; doubled each time, with jitter
LONGEST_PAUSE = 30.0


def pause_before_next(exc: TemporaryError, attempt: int) -> float:
    """Seconds to wait after a failed attempt, counted from 1: what the platform asks for, else longer each time."""
    if exc.retry_after is not None:
        return exc.retry_after
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (attempt - 1)) * (0.5 + random.random() / 2)  # noqa: S311  jitter
