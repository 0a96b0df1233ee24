"""Models as the host's registry takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.contract.models import Marks
from mlinfra.contract.requests import Lookup, Request
from mlinfra.contract.steps import Done, Send, Step
from mlinfra_local.config import SERVICE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.contract.models import Registration, VersionObservation
    from mlinfra.contract.requests import Document
    from mlinfra.environment import Environment

_PAGE = 1000


def observe(registration: Registration, environment: Environment) -> tuple[Request, ...]:  # noqa: ARG001  one host, one registry
    """The version that holds these bytes already, if there is one."""
    return (_by_digest(registration),)


def next_step(
    registration: Registration,
    replies: Mapping[str, Document | None],
    environment: Environment,  # noqa: ARG001  one host, one registry
) -> Step:
    """One CreateModelVersion, unless the model has a version of that digest."""
    reply = replies["version"]
    if reply and reply["versions"]:
        return Done(reply["versions"][0])
    body: Document = {
        "model": registration.model,
        "digest": registration.digest,
        "artifact": {"uri": registration.artefact.uri, "size": registration.artefact.size},
        "manifest": registration.manifest,
        "lineage": registration.lineage,
        "metrics": dict(registration.metrics),
        "tags": dict(registration.tags),
    }
    create = Request(
        step="create",
        service=SERVICE,
        operation="CreateModelVersion",
        body=body,
        repeatable=True,
        lookup=Lookup(_by_digest(registration), "versions"),
    )
    return Send((create,))


def list_models(environment: Environment, token: str | None) -> Request:  # noqa: ARG001  one host, one registry
    """A page of model names."""
    body: Document = {"page_size": _PAGE, **_token(token)}
    return Request(step="models", service=SERVICE, operation="ListModels", body=body, effect=False)


def list_versions(model: str, environment: Environment, token: str | None) -> Request:  # noqa: ARG001  one host, one registry
    """A page of a model's versions."""
    body: Document = {"model": model, "page_size": _PAGE, **_token(token)}
    return Request(step="versions", service=SERVICE, operation="ListModelVersions", body=body, effect=False)


def mark(
    version: VersionObservation,
    marks: Marks,
    siblings: tuple[VersionObservation, ...],  # noqa: ARG001  the host moves an alias by itself
    environment: Environment,  # noqa: ARG001  one host, one registry
) -> tuple[Request, ...]:
    """One UpdateModelVersion: the host sets all marks at once or none."""
    body: Document = {
        "model": version.model,
        "version": int(version.version),
        "add_aliases": list(marks.add_aliases),
        "remove_aliases": list(marks.remove_aliases),
        "tags": dict(marks.tags),
        **({"stage": marks.stage} if marks.stage is not None else {}),
        **({"approval_status": str(marks.approval)} if marks.approval is not None else {}),
    }
    return (Request(step="mark", service=SERVICE, operation="UpdateModelVersion", body=body, repeatable=True),)


def delete_version(
    version: VersionObservation,
    siblings: tuple[VersionObservation, ...],
    environment: Environment,
) -> tuple[Request, ...]:
    """One DeleteModelVersion, after an UpdateModelVersion where aliases point at it: the host refuses it else."""
    body: Document = {"model": version.model, "version": int(version.version)}
    delete = Request(step="delete", service=SERVICE, operation="DeleteModelVersion", body=body, repeatable=True)
    if not version.aliases:
        return (delete,)
    return (*mark(version, Marks(remove_aliases=version.aliases), siblings, environment), delete)


def delete_model(model: str, environment: Environment) -> tuple[Request, ...]:  # noqa: ARG001  one host, one registry
    """One DeleteModel."""
    body: Document = {"model": model}
    return (Request(step="delete", service=SERVICE, operation="DeleteModel", body=body, repeatable=True),)


def console_url(version: VersionObservation, environment: Environment) -> str:  # noqa: ARG001  the artefact says it all
    """The folder of the package."""
    return version.artefact.uri if version.artefact else ""


def _by_digest(registration: Registration) -> Request:
    body: Document = {"model": registration.model, "digest": registration.digest, "page_size": 1}
    return Request(step="version", service=SERVICE, operation="ListModelVersions", body=body, effect=False)


def _token(token: str | None) -> Document:
    return {"page_token": token} if token else {}
