"""How often what failed for the time being is tried, and how long it rests in between: the same for every call."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, TypeVar

from mlinfra.errors import TemporaryError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlinfra.engine.clock import Clock

Result = TypeVar("Result")

TRIES = 8
FIRST_PAUSE = 0.5  # seconds; doubled each time, with jitter
LONGEST_PAUSE = 30.0


def pause_before_next(exc: TemporaryError, attempt: int) -> float:
    """Seconds to wait after a failed attempt, counted from 1: what the platform asks for, else longer each time."""
    if exc.retry_after is not None:
        return exc.retry_after
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (attempt - 1)) * (0.5 + random.random() / 2)  # noqa: S311  jitter


def patiently(call: Callable[[], Result], clock: Clock, say: Callable[[str], None]) -> Result:
    """What a call that may be repeated returns, made again after a pause until it succeeds.

    Raises:
        TemporaryError: it has failed as often as is tried.
    """
    for attempt in range(1, TRIES):
        try:
            return call()
        except TemporaryError as exc:
            pause = pause_before_next(exc, attempt)
            say(f"{exc.what}; again in {pause:.1f} s")
            clock.sleep(pause)
    return call()
