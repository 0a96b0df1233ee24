"""The verbs on endpoints that change nothing: show, list, invoke, logs, metrics."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from mlinfra.contract.capabilities import Capability, require
from mlinfra.contract.handles import Handle
from mlinfra.engine import endpoint_logs
from mlinfra.engine.effects import read
from mlinfra.engine.health import health
from mlinfra.engine.invoke import JSON, ask, body_of, raise_for_status
from mlinfra.engine.rollout_records import Book, Ledger
from mlinfra.engine.shaping import look, observe
from mlinfra.errors import KitFault, NotFound, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from mlinfra.contract.endpoints import DeploymentObservation, EndpointObservation, Invocation, Snippets
    from mlinfra.contract.health import Health
    from mlinfra.contract.jobs import LogLine
    from mlinfra.contract.requests import Document
    from mlinfra.engine.session import Session

RECENTLY = timedelta(hours=1)  # how far back metrics look unless told


@dataclass(frozen=True)
class Shown:
    """An endpoint with all that is known of it: its releases and rollout, where to look, how to call it."""

    endpoint: EndpointObservation
    handle: str
    book: Book
    console_url: str
    snippets: Snippets


def name_of(session: Session, reference: str) -> str:
    """The endpoint that a name or a handle of this environment means.

    Raises:
        UsageError: it is a handle of another environment or kind.
    """
    if "/" not in reference:
        return reference
    handle = Handle.parse(reference)
    if (handle.environment, handle.kind) != (session.environment.name, "endpoint"):
        allowed = f"{session.environment.name}/endpoint/NAME"
        raise UsageError("not the handle of an endpoint here", given=reference, allowed=allowed)
    return handle.id


def find(session: Session, reference: str) -> EndpointObservation:
    """The endpoint that a name or a handle means, as the platform tells it now.

    Raises:
        NotFound: there is none.
    """
    name = name_of(session, reference)
    endpoint = observe(session, name)
    if endpoint is None:
        todo = "`mlinfra endpoint list` shows those there are"
        raise NotFound(f"there is no such endpoint in {session.environment.name}", given=name, todo=todo)
    return endpoint


def deployment_of(session: Session, endpoint: EndpointObservation, name: str) -> DeploymentObservation:
    """One deployment, to be asked by itself.

    Raises:
        NotFound: the endpoint has none of that name.
        CapabilityError: the platform cannot ask one deployment.
    """
    found = endpoint.deployment(name)
    if found is None:
        there = ", ".join(endpoint.traffic) or "none"
        raise NotFound(f"endpoint {endpoint.name} has no such deployment", given=name, allowed=there)
    needed = {"a call to one deployment": Capability.ENDPOINT_TARGET}
    require(session.environment.platform, session.adapter.capabilities, needed)
    return found


def show(session: Session, reference: str) -> Shown:
    """Everything known of an endpoint, a rollout that stands still included.

    Raises:
        NotFound: there is no such endpoint.
    """
    endpoint = find(session, reference)
    book = Ledger.open(session, name_of(session, reference)).book
    renderer, environment = session.adapter.endpoints, session.environment
    return Shown(
        endpoint=endpoint,
        handle=str(Handle(environment.name, "endpoint", endpoint.name)),
        book=book,
        console_url=renderer.console_url(endpoint, environment),
        snippets=renderer.snippets(endpoint, _example(book), environment),
    )


def list_endpoints(session: Session) -> Iterator[EndpointObservation]:
    """The kit's endpoints in this environment, page by page; each looked at where the list does not tell everything.

    Raises:
        KitFault: the platform hands out the same page again and again.
    """
    token: str | None = None
    seen: set[str | None] = set()
    while token not in seen:
        seen.add(token)
        reply = read(session, session.adapter.endpoints.list_endpoints(session.environment, token))
        if reply is None:
            return
        page = session.adapter.observe.endpoints(reply, session.environment)
        looked_at = (each if each.complete else look(session, each.physical_name) for each in page.endpoints)
        yield from filter(None, looked_at)
        token = page.token
        if token is None:
            return
    raise KitFault(f"{session.environment.platform} lists in a circle: page {token!r} came twice")


def invoke(
    session: Session,
    reference: str,
    rows: Sequence[Any] = (),
    *,
    body: bytes | None = None,
    content_type: str = JSON,
    deployment: str | None = None,
    time_limit: float | None = None,
) -> Invocation:
    """Ask for predictions: of rows, or with a body of one's own.

    `time_limit` in seconds bounds the waiting for an asynchronous endpoint.

    Raises:
        NotFound: there is no such endpoint or deployment.
        InputRejected: the model's schema refuses rows; says which.
        InvocationFailed: any other error of the server.
        CapabilityError: the platform cannot ask one deployment.
        TemporaryError: no answer after all tries.
    """
    endpoint = find(session, reference)
    if deployment is not None:
        deployment_of(session, endpoint, deployment)
    content = body_of(rows) if body is None else body
    invocation = ask(
        session, endpoint, content, deployment=deployment, content_type=content_type, time_limit=time_limit
    )
    raise_for_status(invocation)
    return invocation


def metrics(session: Session, reference: str, *, since: datetime | None = None) -> dict[str, Health]:
    """How each deployment has done since then, or in the last hour.

    Raises:
        NotFound: there is no such endpoint.
    """
    endpoint = find(session, reference)
    start = since or session.clock.now() - RECENTLY
    return {each.name: health(session, endpoint, each.name, start) for each in endpoint.deployments}


def logs(session: Session, reference: str, *, deployment: str | None = None, follow: bool = False) -> Iterator[LogLine]:
    """What the servers of all deployments, or of one, print; with `follow` until the caller stops.

    Raises:
        NotFound: there is no such endpoint or deployment.
    """
    endpoint = find(session, reference)
    if deployment is not None and endpoint.deployment(deployment) is None:
        there = ", ".join(endpoint.traffic) or "none"
        raise NotFound(f"endpoint {endpoint.name} has no such deployment", given=deployment, allowed=there)
    return endpoint_logs.lines(session, endpoint, deployment, follow=follow)


def _example(book: Book) -> Document:
    """A body that the endpoint would accept, from the example stored with its model."""
    deployments = book.current.deployments if book.current else ()
    for deployment in deployments:
        example = deployment.manifest.get("example")
        if example and example.get("rows"):
            return {"instances": example["rows"][:1]}
    return {"instances": []}
