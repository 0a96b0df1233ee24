"""Patience with the store while something long is being watched: a hiccup must not end the watch."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from mlinfra.errors import TemporaryError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlinfra.engine.session import Session

TRIES = 5
FIRST_PAUSE = 1.0  # seconds; doubled each time

Result = TypeVar("Result")


def persist(session: Session, action: Callable[[], Result]) -> Result:
    """Do something that is harmless to repeat; again after a pause while it fails for the time being.

    Raises:
        TemporaryError: still failing after all tries.
    """
    for attempt in range(TRIES - 1):
        try:
            return action()
        except TemporaryError as exc:
            pause = exc.retry_after or FIRST_PAUSE * 2**attempt
            session.say(f"{exc.what}; again in {pause:.0f} s")
            session.clock.sleep(pause)
    return action()
