"""Datastores of a workspace: what `azureml://datastores/…` addresses lead to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.emulator.azure import paging
from mlinfra.emulator.azure.names import ML, kind_of, own
from mlinfra.emulator.azure.operations import Reply
from mlinfra.emulator.azure.wire import refusals

if TYPE_CHECKING:
    from mlinfra.emulator.azure.emulator import AzureEmulator
    from mlinfra.emulator.azure.operations import Request
    from mlinfra.emulator.azure.registry.workspaces import Workspace
    from mlinfra.emulator.azure.storage.names import Address

DEFAULT_STORE = "workspaceblobstore"


def blob_store(account: str, container: str, endpoint: str, *, default: bool = False) -> dict[str, Any]:
    """The properties of a datastore over a blob container, read and written in the caller's own name."""
    return {
        "datastoreType": "AzureBlob",
        "accountName": account,
        "containerName": container,
        "endpoint": endpoint,
        "protocol": "https",
        "isDefault": default,
        "credentials": {"credentialsType": "None"},
        "serviceDataAccessAuthIdentity": "WorkspaceSystemAssignedIdentity",
        "description": None,
        "tags": {},
        "properties": {},
    }


def told(name: str, properties: dict[str, Any]) -> dict[str, Any]:
    """A datastore's document. `name` is its id; secrets are never told."""
    shown = {**properties, "credentials": {"credentialsType": properties["credentials"]["credentialsType"]}}
    return {"id": name, "name": own(name), "type": kind_of(name), "properties": shown}


def address(workspace: Workspace, at: Address) -> str:
    """What lies in one of a workspace's datastores as its own addresses have it; else as blob storage has it."""
    for name, each in workspace.datastores.items():
        if (each["accountName"], each["containerName"]) == (at.account, at.container):
            base = workspace.id.replace("/resourceGroups/", "/resourcegroups/").replace(f"/providers/{ML}", "")
            return f"azureml:/{base}/datastores/{name}/paths/{at.name}"
    return str(at)


def get(emulator: AzureEmulator, request: Request) -> dict[str, Any]:
    """One datastore."""
    return told(request.id, _found(emulator, request))


def put(emulator: AzureEmulator, request: Request) -> Reply:
    """Make or change one."""
    stores = emulator.workspaces.get(request.id).datastores
    properties = request.body["properties"]
    if properties["datastoreType"] != "AzureBlob":
        raise refusals.not_emulated(f"A datastore of type {properties['datastoreType']}")
    name = own(request.id)
    created = name not in stores
    stores[name] = {**blob_store("", "", ""), **properties, "isDefault": name == DEFAULT_STORE}
    return Reply(told(request.id, stores[name]), 201 if created else 200)


def delete(emulator: AzureEmulator, request: Request) -> Reply:
    """Remove one; the container stays."""
    stores = emulator.workspaces.get(request.id).datastores
    if own(request.id) == DEFAULT_STORE:
        raise refusals.conflict("The default datastore of a workspace cannot be deleted.")
    return Reply(None, 200 if stores.pop(own(request.id), None) else 204)


def listed(emulator: AzureEmulator, request: Request) -> dict[str, Any]:
    """All of them, or the default one, or those of a list of names."""
    names = request.query.get("names", "")
    default = request.query.get("isDefault", "").lower() == "true"
    found = [
        told(f"{request.id}/{name}", each)
        for name, each in emulator.workspaces.get(request.id).datastores.items()
        if (not default or each["isDefault"]) and (not names or name in names.split(","))
    ]
    return paging.page(found, request, key=lambda each: str(each["name"]))


def secrets(emulator: AzureEmulator, request: Request) -> dict[str, Any]:
    """What opens a datastore: a signature where a short-lived one is asked for.

    Raises:
        Refusal: none, for it is opened in the caller's own name.
    """
    properties = _found(emulator, request, request.resource)
    if not request.body.get("expirableSecret"):
        raise refusals.invalid(f"Datastore {own(request.resource)} is identity-based: it has no secrets.")
    uri = f"https://{properties['accountName']}.blob.core.windows.net/{properties['containerName']}"
    return {"secretsType": "Sas", "sasToken": emulator.storage.signed(uri, "racwdl").partition("?")[2]}


def _found(emulator: AzureEmulator, request: Request, name: str = "") -> dict[str, Any]:
    found = emulator.workspaces.get(request.id).datastores.get(own(name or request.id))
    if found is None:
        raise refusals.not_found(f"Could not find datastore: {own(name or request.id)}.")
    return found
