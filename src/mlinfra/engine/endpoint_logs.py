"""What an endpoint's servers print."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.engine.effects import read
from mlinfra.engine.shaping import observe
from mlinfra.errors import MlinfraError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mlinfra.contract.endpoints import EndpointObservation
    from mlinfra.contract.jobs import LogLine
    from mlinfra.contract.requests import Document
    from mlinfra.engine.session import Session

_LAST = 20  # lines of each deployment
_PAUSE = 2.0  # seconds between looks at a log that is being written


def lines(
    session: Session, endpoint: EndpointObservation, deployment: str | None = None, *, follow: bool = False
) -> Iterator[LogLine]:
    """The lines of all deployments, or of one, from the beginning; with `follow` until the caller stops."""
    token: str | None = None
    while True:
        reply = read(session, session.adapter.endpoints.logs(endpoint, deployment, session.environment, token))
        if reply is None:
            return
        page = session.adapter.observe.endpoint_logs(reply, session.environment)
        yield from page.lines
        ended = page.token == token  # a page may be empty and not the last
        token = page.token
        if ended and not follow:
            return
        if ended:
            session.clock.sleep(_PAUSE)


def last_words(session: Session, name: str, deployments: Iterable[str]) -> Document:
    """The last lines of deployments that are about to be removed, told to people and kept for the record.

    Logs explain a failure; not having them does not become another one.
    """
    texts: list[str] = []
    try:
        endpoint = observe(session, name)
        for deployment in deployments if endpoint else ():
            if endpoint and endpoint.deployment(deployment):
                texts += [f"{deployment}: {line.text}" for line in lines(session, endpoint, deployment)][-_LAST:]
    except MlinfraError as exc:
        session.say(f"its log cannot be read: {exc.what}")
    for text in texts:
        session.say(f"  {text}")
    return {"log": texts} if texts else {}
