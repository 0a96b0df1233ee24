"""Questions to endpoints that answer into the store: the body goes there, the answer is looked for until it lies there.

A question's name is made here, so one that is put again after a lost answer is answered at the same place. Whatever
came of it, question and answer are removed as soon as the answer is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast
from uuid import uuid4

from mlinfra.contract.endpoints import ASYNCHRONOUS_FOLDER, Invocation
from mlinfra.engine.effects import read
from mlinfra.errors import NotFound, Unavailable

if TYPE_CHECKING:
    from mlinfra.contract.endpoints import (
        AsynchronousObserver,
        AsynchronousRenderer,
        Deferred,
        EndpointObservation,
    )
    from mlinfra.contract.store import Store
    from mlinfra.engine.session import Session

LONGEST_WAIT = 900.0  # seconds, unless the caller says otherwise
FIRST_LOOK, LONGEST_PAUSE = 0.5, 15.0  # seconds between two looks, half as long again each time
SAY_AFTER = 10.0  # seconds without an answer until people are told, and then at twice that
_DIGITS = 24  # of a question's name
_OK = 200


def ask_later(
    session: Session,
    endpoint: EndpointObservation,
    body: bytes,
    content_type: str,
    *,
    time_limit: float | None = None,
) -> Invocation:
    """Put a question into the endpoint's queue and wait for the answer, or for what the server refused it with.

    Raises:
        NotFound: the endpoint is gone.
        Unavailable: there is no answer within the time limit; says where it will lie.
        TemporaryError: the platform did not take the question after all tries.
    """
    limit = LONGEST_WAIT if time_limit is None else time_limit
    store, environment = session.store(), session.environment
    question = f"{folder(endpoint.name)}questions/{uuid4().hex[:_DIGITS]}"
    store.put(question, body)
    renderer = cast("AsynchronousRenderer", session.adapter.endpoints)
    request = renderer.invoke_later(endpoint, store.uri(question), content_type, environment, time_limit=limit)
    reply = read(session, request)
    if reply is None:
        store.delete(question)
        raise NotFound("nobody answers there", given=endpoint.name, todo="`mlinfra endpoint list`")
    observer = cast("AsynchronousObserver", session.adapter.observe)
    place = observer.deferred(reply, environment)
    key, failed = _awaited(session, store, place, limit)
    content = store.get(key)
    for each in (question, key):
        store.delete(each)
    return observer.failure(content, environment) if failed else Invocation(_OK, content)


def folder(endpoint: str) -> str:
    """Where an endpoint's questions and answers lie in the store."""
    return f"{ASYNCHRONOUS_FOLDER}/{endpoint}/"


def remove_left(session: Session, endpoint: str) -> None:
    """Remove the questions and answers of an endpoint that is gone. Safe to repeat."""
    store = session.store()
    for info in list(store.list(folder(endpoint))):
        store.delete(info.key)


def _awaited(session: Session, store: Store, place: Deferred, limit: float) -> tuple[str, bool]:
    """The key of whichever comes first, and whether it is the failure's."""
    clock, pause, next_word = session.clock, FIRST_LOOK, SAY_AFTER
    keys = [(store.key(uri), uri == place.failure) for uri in (place.answer, place.failure) if uri]
    began = clock.monotonic()
    while True:
        for key, failed in keys:
            if store.head(key) is not None:
                return key, failed
        waited = clock.monotonic() - began
        if waited >= limit:
            raise Unavailable(
                f"there is no answer after {waited:.0f} s",
                given=place.answer,
                todo="ask again with more time, or fetch it with `mlinfra store get` when it lies there",
            )
        if waited >= next_word:
            session.say(f"no answer yet after {waited:.0f} s; it will lie at {place.answer}")
            next_word *= 2
        clock.sleep(min(pause, LONGEST_PAUSE, limit - waited))
        pause *= 1.5
