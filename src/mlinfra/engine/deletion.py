"""Deleting versions and models: never what serves or is pointed at, and never half.

What is about to be deleted is written down first, so that the same command ends a deletion that was cut off after
the registry had forgotten the version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.engine import audit, claims, records
from mlinfra.engine.effects import effect
from mlinfra.engine.following import follow_to_end
from mlinfra.engine.marks import alone
from mlinfra.engine.uses import end_use
from mlinfra.engine.versions import parse, resolve, versions
from mlinfra.errors import Conflict, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mlinfra.contract.endpoints import DeploymentObservation, EndpointObservation
    from mlinfra.contract.models import VersionObservation
    from mlinfra.contract.requests import Document, Request
    from mlinfra.engine.references import Reference
    from mlinfra.engine.session import Session

_CREATE = "create"  # the step of a registration that makes the version


def delete(
    session: Session, reference: str, *, endpoints: Iterable[EndpointObservation] = (), force: bool = False
) -> str:
    """Delete a version, and its bytes where no other version holds the same; returns its name.

    May be killed and run again, which then does the rest. `endpoints` are those of the environment. Decisions,
    evaluations and the log stay: they are history.

    Raises:
        NotFound: there is no such version.
        Conflict: an alias points at it, or an endpoint serves it, and `force` was not given.
    """
    wanted = parse(session, reference)
    try:
        version = resolve(session, wanted)
    except NotFound:
        left = _left_undone(session, wanted)
        if left is None:
            raise
        _end(session, wanted.model, left)
        return f"{wanted.model}:{left['version']}"
    if not force:
        refuse_in_use([version], endpoints)
    _delete(session, version)
    return version.name


def delete_model(
    session: Session, model: str, *, endpoints: Iterable[EndpointObservation] = (), force: bool = False
) -> list[str]:
    """Delete a model with all its versions; returns their names. May be killed and run again.

    Raises:
        NotFound: there is no such model.
        Conflict: an alias points at one, or an endpoint serves one, and `force` was not given; nothing was deleted.
    """
    wanted = parse(session, model)
    found = list(versions(session, wanted.model))
    left = _undone(session, wanted.model)
    if not found and not left:
        raise NotFound("there is no such model", given=model, todo="`mlinfra model list` shows those there are")
    if not force:
        refuse_in_use(found, endpoints)
    for version in reversed(found):
        _delete(session, version)
    for each in left:
        _end(session, wanted.model, each)
    return [version.name for version in reversed(found)]


def refuse_in_use(found: Sequence[VersionObservation], endpoints: Iterable[EndpointObservation]) -> None:
    """Refuse to take away what is pointed at or serves.

    Raises:
        Conflict: names every alias and deployment.
    """
    uses = [f"alias {alias} of {version.name}" for version in found for alias in version.aliases]
    uses += [
        f"endpoint {endpoint.name}, deployment {deployment.name} ({version.name})"
        for endpoint in endpoints
        for deployment in endpoint.deployments
        for version in found
        if _serves(deployment, version)
    ]
    if uses:
        raise Conflict(
            f"{', '.join(version.name for version in found)} is in use",
            given="; ".join(uses),
            todo="take the alias away and the deployment down first, or add --force",
        )


def _serves(deployment: DeploymentObservation, version: VersionObservation) -> bool:
    """By name and version, or by digest where the platform does not tell the model."""
    if deployment.model:
        return (deployment.model, deployment.version) == (version.model, version.version)
    return bool(version.digest) and deployment.digest == version.digest


def _delete(session: Session, version: VersionObservation) -> None:
    note = {"version": version.version, "digest": version.digest}
    with alone(session, version.model):
        records.write(session, _key(version.model, version.version), note)
        others = tuple(each for each in versions(session, version.model) if each.native_id != version.native_id)
        _send(session, version, session.adapter.models.delete_version(version, others, session.environment))
        if not others:
            _send(session, version, session.adapter.models.delete_model(version.model, session.environment))
    _end(session, version.model, note)


def _send(session: Session, version: VersionObservation, requests: tuple[Request, ...]) -> None:
    """Send, and see the end of each; what is gone already was the aim."""
    try:
        for request in requests:
            follow_to_end(session, request, effect(session, f"model/{version.name}/delete", request))
    except NotFound:
        session.say(f"{version.name} was gone already")


def _end(session: Session, model: str, note: Document) -> None:
    """What follows once the registry has forgotten the version: its bytes, the log, and the note itself."""
    claims.forget(session, f"model/{model}/{note['digest']}", _CREATE)
    if note["digest"] and end_use(session, note["digest"], model):
        session.say(f"removed the bytes of {model}:{note['version']}; no other version holds them")
    audit.record(session, "delete", f"model/{model}:{note['version']}", digest=note["digest"])
    records.delete(session, _key(model, note["version"]))


def _left_undone(session: Session, wanted: Reference) -> Document | None:
    for note in _undone(session, wanted.model):
        by_digest = bool(wanted.digest) and note["digest"].removeprefix("sha256:").startswith(wanted.digest)
        if by_digest or (wanted.version and note["version"] == wanted.version):
            return note
    return None


def _undone(session: Session, model: str) -> list[Document]:
    keys = records.names(session, f"kit/deletions/{model}/")
    return [record.document for key in keys if (record := records.read(session, key))]


def _key(model: str, version: str) -> str:
    return f"kit/deletions/{model}/{version}.json"
