"""Models as Azure Machine Learning's registries take them: versions of a model, in the workspace or a shared registry.

A model's name carries the environment, since a workspace or registry may hold several. A version's number is chosen by
whoever registers it. A shared registry keeps copies of its own: the workspace's version is published into it, and from
then on the registry's counts. Stage, aliases and the mark of approval are tags, the stage is the service's own too; a
change of one is a PUT of the whole version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mlinfra.contract.models import Marks
from mlinfra.contract.requests import Request
from mlinfra.contract.states import Approval
from mlinfra.contract.steps import Done, Failed, Send, Step, Wait
from mlinfra.spec import derive_name
from mlinfra_azure import metadata
from mlinfra_azure.config import DELETE, ML, READ, WRITE
from mlinfra_azure.places import console
from mlinfra_azure.render.jobs import OPERATION_PAUSE, followed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.contract.models import Registration, VersionObservation
    from mlinfra.contract.requests import Document
    from mlinfra.environment import Environment

NEWEST_FIRST = "createdtime desc"
_ENDED_BADLY = {"Failed", "Canceled"}
_UNDER_WAY = {"Creating", "Updating"}
# What a PUT of a version may hold; the rest of a reply is the service's own.
_WRITTEN = (
    "description",
    "properties",
    "isArchived",
    "flavors",
    "jobName",
    "modelType",
    "modelUri",
    "stage",
    "datasets",
)


class Place(NamedTuple):
    """Where versions are: how operations begin, and what the model's name is called in their paths."""

    family: str
    name: str

    def path(self, model: str, **more: str) -> Document:
        """The members of a request that name a model, or a version of it."""
        return {self.name: model, **more}


WORKSPACE, REGISTRY = Place("Model", "name"), Place("RegistryModel", "modelName")


def place(environment: Environment) -> Place:
    """Where the environment's versions count: the shared registry, if it has one."""
    return REGISTRY if getattr(environment, "registry", "") else WORKSPACE


def full_name(model: str, environment: Environment) -> str:
    """The name of a model's container."""
    return derive_name("model", "azure", model, environment.suffix)


def model_name(full: str, environment: Environment) -> str:
    """The inverse of `full_name`: no model's name is so long that it would be cut."""
    return full.removesuffix(f"-{environment.suffix}")


def observe(registration: Registration, environment: Environment) -> tuple[Request, ...]:
    """The version that holds these bytes already, if there is one, and the newest; in both places, if there are two."""
    found = [_by_digest("version", registration, environment, place(environment)), _newest(registration, environment)]
    if place(environment) is REGISTRY:
        found.append(_by_digest("copied", registration, environment, WORKSPACE))
    return tuple(found)


def next_step(registration: Registration, replies: Mapping[str, Document | None], environment: Environment) -> Step:
    """One PUT of the next version; where a registry is shared, its publication after that."""
    there = _first(replies["version"])
    if there is not None:
        return _settled(there)
    if place(environment) is WORKSPACE:
        return Send((_create(registration, environment, _next(replies["newest"])),))
    own = _first(replies.get("copied"))
    if own is None:
        return Send((_create(registration, environment, _next(replies["newest"])),))
    settled = _settled(own)
    return Send((_publish(own, registration, environment),)) if isinstance(settled, Done) else settled


def list_models(environment: Environment, token: str | None) -> Request:
    """A page of all models; the service narrows them by nothing."""
    body: Document = {"listViewType": "ActiveOnly", **_skip(token)}
    return _read("models", f"{place(environment).family}Containers_List", body)


def list_versions(model: str, environment: Environment, token: str | None) -> Request:
    """A page of a model's versions; the newest first."""
    where = place(environment)
    body = {**where.path(full_name(model, environment)), "orderBy": NEWEST_FIRST, **_skip(token)}
    return _read("versions", f"{where.family}Versions_List", body)


def mark(
    version: VersionObservation,
    marks: Marks,
    siblings: tuple[VersionObservation, ...],
    environment: Environment,
) -> tuple[Request, ...]:
    """One PUT of the version, then one of each sibling that an alias leaves."""
    left = {each.native_id: each for each in siblings if any(alias in each.aliases for alias in marks.add_aliases)}
    gone = Marks(remove_aliases=marks.add_aliases)
    return (
        _update("mark", version, marks, environment),
        *(_update(f"unmark-{each.version}", each, gone, environment) for each in left.values()),
    )


def delete_version(
    version: VersionObservation,
    siblings: tuple[VersionObservation, ...],  # noqa: ARG001  the others do not mind
    environment: Environment,
) -> tuple[Request, ...]:
    """One deletion; of a shared registry's version also the workspace's copy."""
    path = {"version": version.version}
    full = full_name(version.model, environment)
    requests = [_delete("delete", "ModelVersions_Delete", WORKSPACE.path(full, **path))]
    if place(environment) is REGISTRY:
        shared = _delete("delete-shared", "RegistryModelVersions_Delete", REGISTRY.path(full, **path), follows=True)
        requests.insert(0, shared)
    return tuple(requests)


def delete_model(model: str, environment: Environment) -> tuple[Request, ...]:
    """One deletion of the empty container; of a shared registry's also the workspace's."""
    full = full_name(model, environment)
    requests = [_delete("delete-model", "ModelContainers_Delete", WORKSPACE.path(full))]
    if place(environment) is REGISTRY:
        shared = _delete("delete-shared-model", "RegistryModelContainers_Delete", REGISTRY.path(full), follows=True)
        requests.insert(0, shared)
    return tuple(requests)


def console_url(version: VersionObservation, environment: Environment) -> str:
    """The version's page."""
    full = full_name(version.model, environment)
    registry = getattr(environment, "registry", "")
    page = f"registries/{registry}/models/{full}" if registry else f"model/{full}:{version.version}/details"
    return console(environment, f"{page}/version/{version.version}" if registry else page)


def _settled(version: Document) -> Step:
    """A version that is there, or on its way."""
    state = (version.get("properties") or {}).get("provisioningState", "Succeeded")
    if state in _UNDER_WAY:
        return Wait(f"version {version.get('name')} to be there", OPERATION_PAUSE)
    if state in _ENDED_BADLY:
        return Failed(f"version {version.get('name')} is {state}", todo="delete it and register again")
    return Done(version)


def _create(registration: Registration, environment: Environment, number: int) -> Request:
    """Two who choose the same number at once: the service keeps the first, since a version's files never change."""
    path = WORKSPACE.path(full_name(registration.model, environment), version=str(number))
    document = {"properties": _properties(registration, environment)}
    return Request(
        step="create",
        service=ML,
        operation="ModelVersions_CreateOrUpdate",
        body={**path, "body": document},
        quota=WRITE,
        repeatable=True,
    )


def _properties(registration: Registration, environment: Environment) -> Document:
    record: Document = {
        "owner": registration.owner,
        "uri": registration.artefact.uri.rstrip("/"),  # a registry tells its own copy's address alone
        "size": registration.artefact.size,
        "lineage": registration.lineage,
        "metrics": dict(registration.metrics),
    }
    name = registration.lineage.get("name")
    return {
        "modelUri": registration.artefact.uri.rstrip("/"),
        "modelType": "custom_model",
        "description": f"Model package {registration.digest}",
        "tags": {**environment.tags, **registration.tags, metadata.APPROVAL: Approval.PENDING.value},
        "properties": {
            metadata.ENVIRONMENT: environment.suffix,
            metadata.MODEL: registration.model,
            metadata.DIGEST: registration.digest,
            **metadata.pack(record),
        },
        **({"jobName": name} if name else {}),
    }


def _publish(own: Document, registration: Registration, environment: Environment) -> Request:
    """Copies the workspace's version into the shared registry, under the same name and number."""
    full = full_name(registration.model, environment)
    number = str(own["name"])
    destination: Document = {
        "registryName": getattr(environment, "registry", ""),
        "destinationName": full,
        "destinationVersion": number,
    }
    return Request(
        step="publish",
        service=ML,
        operation="ModelVersions_Publish",
        body={**WORKSPACE.path(full, version=number), "body": destination},
        quota=WRITE,
        repeatable=True,
        follow=followed("publish"),
    )


def _update(step: str, version: VersionObservation, marks: Marks, environment: Environment) -> Request:
    """The version as it is, with other tags; what is not sent would be gone."""
    known: Document = dict(version.native.get("properties") or {})
    tags: dict[str, str] = dict(known.get("tags") or {})
    for alias in marks.remove_aliases:
        tags.pop(f"{metadata.ALIAS}{alias}", None)
    tags |= {f"{metadata.ALIAS}{alias}": "true" for alias in marks.add_aliases} | dict(marks.tags)
    if marks.approval is not None:
        tags[metadata.APPROVAL] = marks.approval.value
    document = {name: known[name] for name in _WRITTEN if known.get(name) is not None}
    if marks.stage is not None:
        document["stage"] = tags[metadata.STAGE] = marks.stage
    where = place(environment)
    path = where.path(full_name(version.model, environment), version=version.version)
    return Request(
        step=step,
        service=ML,
        operation=f"{where.family}Versions_CreateOrUpdate",
        body={**path, "body": {"properties": {**document, "tags": tags}}},
        quota=WRITE,
        repeatable=True,
        follow=followed(step) if where is REGISTRY else None,
    )


def _by_digest(step: str, registration: Registration, environment: Environment, where: Place) -> Request:
    body = {
        **where.path(full_name(registration.model, environment)),
        "properties": f"{metadata.DIGEST}={registration.digest}",
        "orderBy": NEWEST_FIRST,
    }
    return _read(step, f"{where.family}Versions_List", body)


def _newest(registration: Registration, environment: Environment) -> Request:
    """The workspace's newest versions: their numbers are the ones in use."""
    path = WORKSPACE.path(full_name(registration.model, environment))
    body = {**path, "orderBy": NEWEST_FIRST, "listViewType": "All"}
    return _read("newest", "ModelVersions_List", body)


def _first(reply: Document | None) -> Document | None:
    found = (reply or {}).get("value") or []
    return found[0] if found else None


def _next(newest: Document | None) -> int:
    """One more than the highest number; other tools may have given other names."""
    numbers = [int(each["name"]) for each in (newest or {}).get("value") or () if str(each.get("name")).isdigit()]
    return max(numbers, default=0) + 1


def _read(step: str, operation: str, body: Document) -> Request:
    return Request(step=step, service=ML, operation=operation, body=body, effect=False, quota=READ)


def _delete(step: str, operation: str, body: Document, *, follows: bool = False) -> Request:
    return Request(
        step=step,
        service=ML,
        operation=operation,
        body=body,
        quota=DELETE,
        repeatable=True,
        follow=followed(step) if follows else None,
    )


def _skip(token: str | None) -> Document:
    return {"skip": token} if token else {}
