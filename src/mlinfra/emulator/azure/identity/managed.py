"""ARM's operations on user-assigned identities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.emulator.azure import paging
from mlinfra.emulator.azure.identity import documents
from mlinfra.emulator.azure.names import GROUP, own
from mlinfra.emulator.azure.operations import Operation, Reply
from mlinfra.emulator.azure.wire import refusals

if TYPE_CHECKING:
    from mlinfra.emulator.azure.emulator import AzureEmulator
    from mlinfra.emulator.azure.operations import Request

_TYPE = "Microsoft.ManagedIdentity/userAssignedIdentities"
_ALL = f"{GROUP}/providers/{_TYPE}"
_ONE = f"{_ALL}/{{resourceName}}"


def _get(emulator: AzureEmulator, request: Request) -> Any:
    found = emulator.principals.find(request.id)
    if found is None:
        raise refusals.resource_not_found(request.id)
    return documents.identity(emulator, found)


def _put(emulator: AzureEmulator, request: Request) -> Reply:
    emulator.workspaces.group(request.id)
    created = emulator.principals.find(request.id) is None
    made = emulator.principals.create(own(request.id), request.id)
    return Reply(documents.identity(emulator, made), 201 if created else 200)


def _delete(emulator: AzureEmulator, request: Request) -> Reply:
    found = emulator.principals.find(request.id)
    if found is None:
        return Reply(None, 204)
    emulator.principals.remove(found.object_id)
    return Reply(None)


def _list(emulator: AzureEmulator, request: Request) -> Any:
    emulator.workspaces.group(request.id)
    found = [each for each in emulator.principals.all() if each.resource_id.startswith(f"{request.id}/")]
    return paging.page(
        found, request, key=lambda each: str(each.object_id), told=lambda each: documents.identity(emulator, each)
    )


OPERATIONS: tuple[Operation, ...] = tuple(
    Operation(f"UserAssignedIdentities_{name}", method, path, handle, f"{_TYPE}/{verb}")
    for name, method, path, handle, verb in (
        ("Get", "GET", _ONE, _get, "read"),
        ("CreateOrUpdate", "PUT", _ONE, _put, "write"),
        ("Delete", "DELETE", _ONE, _delete, "delete"),
        ("ListByResourceGroup", "GET", _ALL, _list, "read"),
    )
)
