"""What the operations on workspaces, registries and assets do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.emulator.azure import paging
from mlinfra.emulator.azure.jobs.uris import Uris
from mlinfra.emulator.azure.names import own
from mlinfra.emulator.azure.operations import Reply, Request
from mlinfra.emulator.azure.registry import datastores, listing
from mlinfra.emulator.azure.wire import refusals

if TYPE_CHECKING:
    from mlinfra.emulator.azure.emulator import AzureEmulator
    from mlinfra.emulator.progress import Progress

_STORAGE = "storageAccount"
_POINTERS = ("modelUri", "dataUri")
_HASH = "hash"
_OF_JOBS = "azureml://jobs/"


def get_workspace(emulator: AzureEmulator, request: Request) -> Any:
    """One workspace."""
    return emulator.workspaces.told(emulator.workspaces.get(request.id))


def list_workspaces(emulator: AzureEmulator, request: Request) -> Any:
    """Those of the subscription, or of a group."""
    if "resourceGroupName" in request.parts:
        emulator.workspaces.group(request.id)
    prefix = request.id.rpartition("/providers/")[0]
    found = [each for each in emulator.workspaces.records.listed() if each.id.startswith(f"{prefix}/")]
    return paging.page(found, request, key=lambda each: str(each.id), told=emulator.workspaces.told)


def put_workspace(emulator: AzureEmulator, request: Request) -> Reply:
    """Make a workspace, or set what is asked of one."""
    emulator.workspaces.group(request.id)
    existing = emulator.workspaces.records.get(request.id)
    account = own((request.body.get("properties") or {}).get(_STORAGE) or "")
    if existing is None and not account:
        raise refusals.invalid("Missing dependent resources in workspace json", f"properties.{_STORAGE}")
    workspace = existing or emulator.workspaces.create(request.id, account)
    workspace.document = request.body

    def work(progress: Progress) -> None:
        progress.wait("workspaces.Creating")

    return emulator.longrunning.start(request, work, emulator.workspaces.told(workspace), created=existing is None)


def update_workspace(emulator: AzureEmulator, request: Request) -> Any:
    """Change tags, identity or properties of one."""
    workspace = emulator.workspaces.get(request.id)
    before = workspace.document
    properties = {**(before.get("properties") or {}), **(request.body.get("properties") or {})}
    workspace.document = {**before, **request.body, "properties": properties}
    return emulator.workspaces.told(workspace)


def delete_workspace(emulator: AzureEmulator, request: Request) -> Reply:
    """Delete one with the assets in it; its storage stays."""
    if request.id not in emulator.workspaces.records:
        return Reply(None, 204)
    emulator.workspaces.get(request.id)

    def work(progress: Progress) -> None:
        progress.wait("workspaces.Deleting")
        emulator.workspaces.records.remove(request.id)
        for name in list(emulator.assets.containers):
            if name.startswith(f"{request.id}/"):
                emulator.assets.remove(name)

    return emulator.longrunning.start(request, work)


def get_registry(emulator: AzureEmulator, request: Request) -> Any:
    """One registry."""
    return emulator.registries.told(emulator.registries.get(request.id))


def list_registries(emulator: AzureEmulator, request: Request) -> Any:
    """Those of a group."""
    emulator.workspaces.group(request.id)
    found = [each for each in emulator.registries.records.listed() if each.id.startswith(f"{request.id}/")]
    return paging.page(found, request, key=lambda each: str(each.id), told=emulator.registries.told)


def put_container(emulator: AzureEmulator, request: Request) -> Reply:
    """Make or change a container."""
    kept = _kept(emulator, request)
    asset, created = emulator.assets.put_container(kept, request.body.get("properties") or {}, request.principal)
    return _made(emulator, request, emulator.assets.told(asset), created=created)


def put_version(emulator: AzureEmulator, request: Request) -> Reply:
    """Make a version, or change what of it may change."""
    kept = _kept(emulator, request)
    properties = _located(emulator, request)
    asset, created = emulator.assets.put_version(kept, properties, request.principal)
    return _made(emulator, request, emulator.assets.told(asset), created=created)


def get_container(emulator: AzureEmulator, request: Request) -> Any:
    """One container."""
    return emulator.assets.told(emulator.assets.container(_kept(emulator, request)))


def get_version(emulator: AzureEmulator, request: Request) -> Any:
    """One version."""
    return emulator.assets.told(emulator.assets.version(_kept(emulator, request)))


def delete(emulator: AzureEmulator, request: Request) -> Reply:
    """Remove a container with its versions, or a version; 204 where there was none.

    Raises:
        Refusal: a deployment runs the model.
    """
    kept = _kept(emulator, request)
    used = [each for version in _models(emulator, kept) for each in emulator.endpoints.deployed(version)]
    if used:
        raise refusals.conflict(f"Model {own(kept)} is used by the deployments {', '.join(used)}.", "ModelInUse")
    gone = emulator.assets.remove(kept)
    if gone and "registryName" in request.parts:
        return emulator.longrunning.start(request, lambda _progress: None)
    return Reply(None, 200 if gone else 204)


def _models(emulator: AzureEmulator, name: str) -> list[str]:
    """The ids of the versions of a model, or of the one that is named; none where it is no model."""
    if "/models/" not in name:
        return []
    container = emulator.assets.containers.get(name)
    return list(container.versions) if container else [name]


def list_containers(emulator: AzureEmulator, request: Request) -> Any:
    """Those of one kind, the newest change first."""
    kept = _kept(emulator, request)
    found = [
        each
        for each in emulator.assets.containers.listed()
        if each.id.rpartition("/")[0] == kept and listing.shown(each.archived, request)
    ]
    newest = sorted(found, key=lambda each: each.modified, reverse=True)
    return paging.page(newest, request, key=lambda each: str(each.id), told=emulator.assets.told)


def list_versions(emulator: AzureEmulator, request: Request) -> Any:
    """Those of one asset; none where there is no such asset. Code of a `hash` is found whatever its name."""
    name = _kept(emulator, request).rpartition("/")[0]
    containers = (
        emulator.assets.containers.listed() if _HASH in request.query else [emulator.assets.containers.get(name)]
    )
    siblings = name.rpartition("/")[0]
    held = [each for each in containers if each and each.id.rpartition("/")[0] == siblings]
    found = listing.versions([version for each in held for version in each.versions.listed()], request)
    return paging.page(found, request, key=lambda each: str(each.id), told=emulator.assets.told)


def _kept(emulator: AzureEmulator, request: Request) -> str:
    """The id under which an asset is kept, whose workspace or registry is there.

    Raises:
        Refusal: it is not.
    """
    if "registryName" not in request.parts:
        emulator.workspaces.get(request.id)
        return request.id
    registry = emulator.registries.get(request.id)
    _, _, rest = request.id.partition(f"/registries/{request.parts['registryName']}")
    return f"{registry.id}{rest}"


def _located(emulator: AzureEmulator, request: Request) -> dict[str, Any]:
    """The properties of a version, with the outputs of jobs as the paths in datastores that they are.

    Raises:
        Refusal: there is no such job or output.
    """
    properties = dict(request.body["properties"])
    for pointer in _POINTERS:
        uri = properties.get(pointer) or ""
        if uri.startswith(_OF_JOBS) and "registryName" not in request.parts:
            workspace = emulator.workspaces.get(request.id)
            properties[pointer] = datastores.address(workspace, Uris(emulator, workspace).located(uri))
    return properties


def _made(emulator: AzureEmulator, request: Request, document: dict[str, Any], *, created: bool) -> Reply:
    """A workspace answers at once, a registry with an operation that goes on."""
    if "registryName" not in request.parts:
        return Reply(document, 201 if created else 200)

    def work(progress: Progress) -> dict[str, Any]:
        progress.wait("registry.Copying")
        return document

    return emulator.longrunning.start(request, work, document, created=created)
