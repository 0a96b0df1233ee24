"""The loop that carries a procedure to its end: observe, ask for the next step, obey."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from mlinfra.contract.steps import Done, Failed, Send, Step, Wait
from mlinfra.engine.effects import send_all
from mlinfra.engine.following import Following
from mlinfra.errors import Conflict, DeploymentFailed, KitFault, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlinfra.engine.session import Session

Observed = TypeVar("Observed")
_MOST_CONFLICTS = 5  # somebody else's write between our read and ours; more than that is a quarrel
_MOST_ROUNDS_WITHOUT_WAIT = 100  # a procedure that only sends and never gets there is a fault of its adapter


def reconcile(
    session: Session,
    procedure: str,
    observe: Callable[[], Observed],
    next_step: Callable[[Observed], Step],
    *,
    deadline: float,
    between: Callable[[], None] | None = None,
) -> Mapping[str, Any]:
    """Run a procedure to its end and return what `Done` holds. May be killed anywhere and run again.

    `deadline` is in seconds from now; it bounds the waiting, not a request under way. `between` is called in every
    round in which nothing is observed, since a long-running operation is followed to its end.

    Raises:
        DeploymentFailed: the procedure ended in `Failed`, or a long-running operation failed.
        Unavailable: the deadline passed; the platform may still get there.
    """
    ends = session.clock.monotonic() + deadline
    said = ""
    rounds = 0
    following = Following(session)
    while True:
        step = following.step()
        if step is None:
            step = next_step(observe())
        elif between is not None:
            between()
        if isinstance(step, Done):
            return step.result
        if isinstance(step, Failed):
            raise DeploymentFailed(step.reason, todo=step.todo)
        if isinstance(step, Send):
            rounds += 1
            _send(session, procedure, step, rounds, following)
            continue
        said = _wait(session, step, ends, said)
        rounds = 0


def _send(session: Session, procedure: str, step: Send, rounds: int, following: Following) -> None:
    """Send, unless what was observed is no longer so; then the next round observes again."""
    if rounds > _MOST_ROUNDS_WITHOUT_WAIT:
        raise KitFault(f"{procedure} sends without end: {[request.operation for request in step.requests]}")
    try:
        following.begin(step.requests, send_all(session, procedure, step.requests))
    except Conflict:
        if rounds > _MOST_CONFLICTS:
            raise


def _wait(session: Session, step: Wait, ends: float, said: str) -> str:
    left = ends - session.clock.monotonic()
    if left <= 0:
        raise Unavailable(
            f"still waiting for {step.until} when the time was over",
            todo="run the same command again: it goes on from where it stands",
        )
    if step.until != said:
        session.say(f"waiting for {step.until}")
    session.clock.sleep(min(step.poll_after, left))
    return step.until
