"""Reading the platform's registry: which models, which versions, which of them is meant."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NoReturn, TypeVar

from mlinfra.contract.handles import Handle
from mlinfra.engine import records
from mlinfra.engine.effects import read
from mlinfra.engine.references import Reference
from mlinfra.errors import Conflict, KitFault, NotFound, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mlinfra.contract.models import ModelPage, VersionObservation, VersionPage
    from mlinfra.contract.requests import Document, Request
    from mlinfra.engine.session import Session

Page = TypeVar("Page", "ModelPage", "VersionPage")
MOVE = timedelta(minutes=5)  # how long an alias that is being moved may be on no version
_SHOWN = 10  # choices that are worth naming in an error


def models(session: Session) -> Iterator[str]:
    """The names of all models, page by page."""
    renderer, observer, environment = session.adapter.models, session.adapter.observe, session.environment
    for page in _pages(
        session,
        lambda token: renderer.list_models(environment, token),
        lambda reply: observer.models(reply, environment),
    ):
        yield from page.models


def versions(session: Session, model: str) -> Iterator[VersionObservation]:
    """A model's versions, the newest first, page by page; nothing where there is no such model."""
    renderer, observer, environment = session.adapter.models, session.adapter.observe, session.environment
    for page in _pages(
        session,
        lambda token: renderer.list_versions(model, environment, token),
        lambda reply: observer.versions(reply, environment),
    ):
        yield from page.versions


def resolve(session: Session, reference: str | Reference) -> VersionObservation:
    """The version that a reference means. A digest may be given by its first 12 hex digits or more.

    Raises:
        UsageError: it is no reference, a bare name of a model with several versions, or digits that fit two.
        NotFound: there is no such version; names those there are.
        Conflict: an alias is on two versions, and nothing tells which one it was meant for.
    """
    wanted = parse(session, reference) if isinstance(reference, str) else reference
    if wanted.alias:
        return _by_alias(session, wanted)
    if wanted.version:
        found = next((each for each in versions(session, wanted.model) if each.version == wanted.version), None)
        return found or _missing(session, wanted)
    everything = list(versions(session, wanted.model))
    if wanted.digest:
        everything = [each for each in everything if each.digest.removeprefix("sha256:").startswith(wanted.digest)]
    if len(everything) > 1:
        raise UsageError(
            f"{wanted} means several versions", given=str(wanted), allowed=_choices(everything), todo="name one of them"
        )
    return everything[0] if everything else _missing(session, wanted)


def parse(session: Session, text: str) -> Reference:
    """The reference in a text, which may be a handle of this environment.

    Raises:
        UsageError: it is no reference, or a handle of another environment or kind.
    """
    if "/" not in text:
        return Reference.parse(text)
    named = Handle.parse(text)
    if (named.environment, named.kind) != (session.environment.name, "model"):
        raise UsageError(
            "not the handle of a model here", given=text, allowed=f"{session.environment.name}/model/NAME:VERSION"
        )
    return Reference.parse(named.id)


def by_digest(session: Session, model: str, digest: str) -> VersionObservation | None:
    """The model's version with exactly these bytes, None where there is none."""
    return next((each for each in versions(session, model) if each.digest == digest), None)


def handle(session: Session, version: VersionObservation) -> str:
    """How the version is named on the command line and between machines."""
    return f"{session.environment.name}/model/{version.name}"


def write_move(session: Session, version: VersionObservation, alias: str) -> None:
    """Write down where an alias is about to go, so that it means one version at every moment of its move."""
    document = {"version": version.version, "digest": version.digest, "time": session.clock.now().isoformat()}
    records.write(session, _move_key(version.model, alias), document)


def forget_move(session: Session, model: str, alias: str) -> None:
    """Forget where an alias was to go: it is there, or nowhere any more. Safe to repeat."""
    records.delete(session, _move_key(model, alias))


def _by_alias(session: Session, wanted: Reference) -> VersionObservation:
    everything = list(versions(session, wanted.model))
    carriers = [each for each in everything if wanted.alias in each.aliases]
    if len(carriers) == 1:
        return carriers[0]
    move = records.read(session, _move_key(wanted.model, wanted.alias))
    if move is not None and (carriers or _fresh(session, move.document)):
        goal = [each for each in carriers or everything if each.version == move.document["version"]]
        if goal:
            return goal[0]
    if carriers:
        raise Conflict(
            f"the alias {wanted.alias} is on several versions",
            given=_choices(carriers),
            todo=f"`mlinfra model alias {wanted.model}:VERSION {wanted.alias}` settles it",
        )
    return _missing(session, wanted, everything)


def _fresh(session: Session, move: Document) -> bool:
    return session.clock.now() - datetime.fromisoformat(move["time"]) < MOVE


def _missing(session: Session, wanted: Reference, everything: Sequence[VersionObservation] | None = None) -> NoReturn:
    there = list(versions(session, wanted.model)) if everything is None else everything
    if there:
        raise NotFound(f"model {wanted.model} has no such version", given=str(wanted), allowed=_choices(there))
    known = list(models(session))
    names = ", ".join(known[:_SHOWN]) + (", …" if len(known) > _SHOWN else "")
    raise NotFound(
        f"there is no model {wanted.model} in {session.environment.name}",
        given=str(wanted),
        allowed=names or "no model is registered yet",
    )


def _choices(found: Sequence[VersionObservation]) -> str:
    named = [" ".join([each.name, *(f"@{alias}" for alias in each.aliases)]) for each in found[:_SHOWN]]
    return ", ".join(named) + (f", and {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")


def _move_key(model: str, alias: str) -> str:
    return f"kit/aliases/{model}/{alias}.json"


def _pages(
    session: Session, request: Callable[[str | None], Request], parse: Callable[[Document], Page]
) -> Iterator[Page]:
    """The pages of a listing.

    Raises:
        KitFault: the platform hands out the same page again and again.
    """
    token: str | None = None
    seen: set[str] = set()
    while True:
        reply = read(session, request(token))
        if reply is None:
            return
        page = parse(reply)
        yield page
        token = page.token
        if token is None:
            return
        if token in seen:
            raise KitFault(f"{session.environment.platform} lists in a circle: page {token!r} came twice")
        seen.add(token)
