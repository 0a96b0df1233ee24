"""After a crash: settle what was left open, do what is due."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlinfra.engine.effects import settle
from mlinfra.engine.followups import Followed, follow_up_all

if TYPE_CHECKING:
    from mlinfra.engine.session import Session


@dataclass(frozen=True)
class Settled:
    """An effect whose outcome was not known. `there` says whether it had one."""

    procedure: str
    operation: str
    there: bool


@dataclass(frozen=True)
class Recovered:
    """What `recover` found and did. `open` effects belong to processes that still run."""

    settled: tuple[Settled, ...]
    followed: tuple[Followed, ...]
    open: int


def recover(session: Session) -> Recovered:
    """Look up every effect that a dead process left open, and do every follow-up that is due. Safe to repeat."""
    session.verify_account()
    settled = []
    still_open = 0
    for left in session.journal.open_effects(session.environment.id):
        if not left.abandoned:
            still_open += 1
            continue
        existing = settle(session, left.request)
        session.journal.settle(left.id, existing)
        settled.append(Settled(left.procedure, left.request.operation, existing is not None))
    return Recovered(tuple(settled), tuple(follow_up_all(session)), still_open)
