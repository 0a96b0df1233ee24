"""Calls of the object store, made again until they succeed or patience ends."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, TypeVar

from mlinfra.engine.effects import FIRST_PAUSE, LONGEST_PAUSE, TRIES
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
            pause = exc.retry_after
            if pause is None:
                pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (attempt - 1))
                pause *= 0.5 + random.random() / 2  # noqa: S311  jitter
            session.say(f"{exc.what}; again in {pause:.1f} s")
            session.clock.sleep(pause)
    return call()
