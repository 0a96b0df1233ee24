"""Sending: paced, journalled, retried here and nowhere else.

For each effect: a place in the quota, the intent on disk, the request, the outcome on disk. A failure that
certainly had no effect is sent again after a pause; one whose outcome is not known is looked up first, for as
long as the platform's lists may lag.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.contract.requests import found
from mlinfra.engine import claims
from mlinfra.engine.known import Known
from mlinfra.engine.pauses import TRIES, pause_before_next
from mlinfra.errors import Conflict, MlinfraError, NotFound, SpecError, TemporaryError, Throttled

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from mlinfra.contract.requests import Document, Request
    from mlinfra.engine.session import Session

LOOKUP_PAUSE = 2.0


def read(session: Session, request: Request) -> Document | None:
    """Ask something; None where it is not there.

    Raises:
        TemporaryError: still failing after all tries.
    """
    for attempt in range(1, TRIES + 1):
        session.pacer.acquire(request.quota)
        try:
            return session.client.send(request)
        except NotFound:
            return None
        except TemporaryError as exc:
            if attempt == TRIES:
                raise
            _pause(session, request, exc, attempt)
    raise AssertionError  # pragma: no cover  the loop returns or raises


def read_all(session: Session, requests: Iterable[Request]) -> dict[str, Document | None]:
    """Ask several things in order, filling references; what refers to nothing is not asked and is None."""
    replies: dict[str, Document | None] = {}
    for request in requests:
        known = {step: reply for step, reply in replies.items() if reply is not None}
        if request.refs <= known.keys():
            replies[request.step] = read(session, request.resolve(known))
        else:
            replies[request.step] = None
    return replies


def effect(session: Session, procedure: str, request: Request) -> Document:
    """Do something once, whatever happens on the way.

    An intent of the same procedure and step that a dead process left open is settled by look-up first. A create
    that the platform would repeat blindly is claimed in the store, so that two machines make one. The account is
    verified before the first effect.

    Raises:
        WrongAccount: nothing was sent.
        Conflict: somebody else changed it meanwhile.
        TemporaryError: still failing after all tries; the next run of the same command goes on from here.
    """
    session.verify_account()
    existing = _settle_left_open(session, procedure, request)
    if existing is not None:
        return existing
    if request.repeatable:
        return _send_until_answered(session, procedure, request)
    claim, existing = claims.claim(session, procedure, request.step, lambda: look_up(session, request))
    if existing is not None:
        return existing
    try:
        return _send_until_answered(session, procedure, request)
    except MlinfraError as exc:
        if claim and not (isinstance(exc, TemporaryError) and exc.sent):
            claim.give_back()
        raise


def send_all(session: Session, procedure: str, requests: Sequence[Request]) -> dict[str, Document]:
    """Send several effects in order, each reply filling the references of the later ones.

    What this machine lately saw to be there is not sent. Should a later request not find it after all, it is.
    """
    known = Known(session)
    passed_over = [each.known for each in requests if each.known and known.size(each.known, each.known) is not None]
    try:
        return _send_unless(session, procedure, requests, passed_over)
    except (NotFound, SpecError):
        if not passed_over:
            raise
    for address in passed_over:
        known.doubt(address)
    return _send_unless(session, procedure, requests, ())


def look_up(session: Session, request: Request) -> Document | None:
    """What the request would make, as the platform shows it now; None where nothing is."""
    if request.lookup is None:
        return None
    reply = read(session, request.lookup.request)
    return None if reply is None else found(request.lookup, reply)


def settle(session: Session, request: Request) -> Document | None:
    """Find out whether a request of unknown outcome had its effect.

    A repeatable one is looked up once, since sending it again does no harm; the others until they show or the
    visibility window has passed.
    """
    ends = session.clock.monotonic() + (0 if request.repeatable else claims.VISIBILITY)
    while (existing := look_up(session, request)) is None and session.clock.monotonic() < ends:
        session.clock.sleep(LOOKUP_PAUSE)
    return existing


def _send_unless(
    session: Session, procedure: str, requests: Iterable[Request], passed_over: Collection[str]
) -> dict[str, Document]:
    replies: dict[str, Document] = {}
    for request in requests:
        if request.known in passed_over:
            continue
        replies[request.step] = effect(session, procedure, request.resolve(replies))
        if request.known:
            Known(session).add(request.known, request.known, 0)
    return replies


def _send_until_answered(session: Session, procedure: str, request: Request) -> Document:
    for attempt in range(1, TRIES + 1):
        try:
            return _send_once(session, procedure, request)
        except TemporaryError as exc:
            if attempt == TRIES:
                raise
            _pause(session, request, exc, attempt)
    raise AssertionError  # pragma: no cover  the loop returns or raises


def _send_once(session: Session, procedure: str, request: Request) -> Document:
    """One intent, one sending, one outcome; a conflict over a name that only this work would choose is success."""
    session.pacer.acquire(request.quota)
    intent = session.journal.intend(session.environment.id, procedure, request)
    try:
        reply = session.client.send(request)
    except TemporaryError as exc:
        existing = _after_doubt(session, request) if exc.sent else None
        session.journal.settle(intent, existing)
        if existing is None:
            raise
        return existing
    except Conflict:
        existing = look_up(session, request)
        session.journal.settle(intent, existing)
        if existing is None:
            raise
        return existing
    except MlinfraError:
        session.journal.settle(intent, None)
        raise
    session.journal.settle(intent, reply)
    return reply


def _settle_left_open(session: Session, procedure: str, request: Request) -> Document | None:
    for left in session.journal.open_effects(session.environment.id, procedure):
        if left.request.step != request.step or not left.abandoned:
            continue
        existing = settle(session, left.request)
        session.journal.settle(left.id, existing)
        if existing is not None and left.request == request:
            return existing
    return None


def _after_doubt(session: Session, request: Request) -> Document | None:
    if request.lookup is None:
        return None
    session.say(f"{request.operation}: no answer; looking whether it had its effect")
    return settle(session, request)


def _pause(session: Session, request: Request, exc: TemporaryError, attempt: int) -> None:
    pause = pause_before_next(exc, attempt)
    if isinstance(exc, Throttled):
        session.pacer.penalise(request.quota, pause)
    session.say(f"{request.operation}: {exc.what}; again in {pause:.1f} s")
    session.clock.sleep(pause)
