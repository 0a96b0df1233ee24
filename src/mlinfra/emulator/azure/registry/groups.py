"""ARM's operations on the subscription and its resource groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.emulator.azure import paging
from mlinfra.emulator.azure.names import GROUP, SUBSCRIPTION, own
from mlinfra.emulator.azure.operations import Operation, Reply

if TYPE_CHECKING:
    from mlinfra.emulator.azure.emulator import AzureEmulator
    from mlinfra.emulator.azure.operations import Request

_TYPE = "Microsoft.Resources/subscriptions/resourceGroups"
_ALL_SEEN = ("every caller sees it; the service shows it to who has any permission in it",)


def _get_subscription(emulator: AzureEmulator, _request: Request) -> Any:
    place = emulator.place
    return {
        "id": place.subscription_id,
        "subscriptionId": place.subscription,
        "tenantId": place.tenant,
        "displayName": "mlinfra emulated",
        "state": "Enabled",
        "authorizationSource": "RoleBased",
    }


def _get(emulator: AzureEmulator, request: Request) -> Any:
    return emulator.workspaces.group(request.id)


def _list(emulator: AzureEmulator, request: Request) -> Any:
    return paging.page(emulator.workspaces.groups.listed(), request, key=lambda each: str(each["name"]))


def _put(emulator: AzureEmulator, request: Request) -> Reply:
    name = own(request.id)
    created = name.lower() not in emulator.workspaces.groups
    emulator.workspaces.create_group(name, request.body.get("tags"))
    return Reply(emulator.workspaces.group(request.id), 201 if created else 200)


OPERATIONS: tuple[Operation, ...] = (
    Operation("Subscriptions_Get", "GET", SUBSCRIPTION, _get_subscription, "", differences=_ALL_SEEN),
    Operation("ResourceGroups_List", "GET", f"{SUBSCRIPTION}/resourceGroups", _list, "", differences=_ALL_SEEN),
    Operation("ResourceGroups_Get", "GET", GROUP, _get, f"{_TYPE}/read"),
    Operation("ResourceGroups_CreateOrUpdate", "PUT", GROUP, _put, f"{_TYPE}/write"),
)
