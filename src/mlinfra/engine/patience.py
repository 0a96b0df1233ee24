"""Calls of the object store, made again until they succeed or patience ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from mlinfra.engine.effects import TRIES, pause_before_next
from mlinfra.errors import TemporaryError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlinfra.engine.session import Session

Result = TypeVar("Result")


def patiently(session: Session, call: Callable[[], Result]) -> Result:
    """Make a call that is harmless to repeat; again after a pause while it fails for the time being.

    Raises:
        TemporaryError: still failing after all tries.
    """
    for attempt in range(1, TRIES):
        try:
            return call()
        except TemporaryError as exc:
            pause = pause_before_next(exc, attempt)
            session.say(f"{exc.what}; again in {pause:.1f} s")
            session.clock.sleep(pause)
    return call()
