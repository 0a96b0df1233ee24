"""Seeing the end of what goes on after its reply: the platform's long-running operations.

Their handles lie in the journal with the replies that began them. Here they are followed as long as the process lives;
a run that is gone on with later finds them by what it observes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlinfra.contract.requests import dig
from mlinfra.contract.steps import Failed, Step, Wait
from mlinfra.engine.effects import read
from mlinfra.errors import DeploymentFailed, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mlinfra.contract.requests import Document, Follow, Request
    from mlinfra.engine.session import Session

PATIENCE = 600.0  # seconds for an operation that nothing else is waited for with


@dataclass(frozen=True)
class _Operation:
    """One that is under way: how to ask after it, and what people call it."""

    follow: Follow
    request: Request
    title: str


class Following:
    """The operations that one procedure has begun and not yet seen ended."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._under_way: list[_Operation] = []

    def begin(self, requests: Iterable[Request], replies: Mapping[str, Document]) -> None:
        """Follow what these requests began; a reply that tells of no operation began none."""
        for request in requests:
            follow = request.follow
            if follow and _told(replies.get(request.step), follow.over) is not None:
                self._under_way.append(_Operation(follow, follow.request.resolve(replies), request.operation))

    def step(self) -> Step | None:
        """Wait for what is under way, or fail as it did; None when all have ended well.

        Raises:
            TemporaryError: the platform does not answer.
        """
        while self._under_way:
            operation = self._under_way[0]
            answer = read(self._session, operation.request)  # one that the platform has forgotten is over
            failure = _told(answer, operation.follow.error)
            if failure is not None:
                self._under_way.clear()
                return Failed(f"{operation.title}: {failure}")
            if answer is not None and not _told(answer, operation.follow.over):
                return Wait(f"{operation.title} to end", operation.follow.every)
            del self._under_way[0]
        return None


def follow_to_end(session: Session, request: Request, reply: Document) -> None:
    """Wait for the end of what one request began, where that goes on after its reply.

    Raises:
        DeploymentFailed: it failed.
        Unavailable: it had not ended when the time was over; the platform may still get there.
    """
    following = Following(session)
    following.begin([request], {request.step: reply})
    ends = session.clock.monotonic() + PATIENCE
    while (step := following.step()) is not None:
        if isinstance(step, Failed):
            raise DeploymentFailed(step.reason, todo=step.todo)
        if isinstance(step, Wait) and session.clock.monotonic() < ends:
            session.clock.sleep(step.poll_after)
        else:
            raise Unavailable(f"still waiting for {request.operation} to end when the time was over")


def _told(answer: Document | None, path: str) -> Any:
    try:
        return dig(answer, path)
    except KeyError:
        return None
