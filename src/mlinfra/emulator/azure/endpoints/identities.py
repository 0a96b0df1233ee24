"""In whose name an endpoint's containers run.

After the guide "Authentication for managed online endpoints": a system-assigned identity is made with the endpoint and
gets AcrPull and Storage Blob Data Reader by itself; a user-assigned one has what somebody gave it. Containers ask for
tokens as the guide "Access Azure resources from an online endpoint with a managed identity" shows.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.azure.identity.roles import guid
from mlinfra.emulator.azure.names import own
from mlinfra.emulator.azure.wire import refusals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.emulator.azure.emulator import AzureEmulator
    from mlinfra.emulator.azure.endpoints.records import Endpoint
    from mlinfra.emulator.azure.operations import Request

_SYSTEM, _USER, _NONE = "systemassigned", "userassigned", "none"
_TOLD = ("MSI_ENDPOINT", "MSI_SECRET")
_ROLES = {"Microsoft.Storage": "Storage Blob Data Reader", "Microsoft.ContainerRegistry": "AcrPull"}


class Identities:
    """The identities of endpoints."""

    def __init__(self, emulator: AzureEmulator) -> None:
        self._emulator = emulator

    def of(self, request: Request, identity: Mapping[str, Any] | None) -> str:
        """The object id of the identity that a request asks for; a system-assigned one is made.

        Raises:
            Refusal: there is no such identity, or the caller may not assign it.
        """
        kind = str((identity or {}).get("type") or _SYSTEM).replace(" ", "").lower()
        if _USER in kind:
            users = list((identity or {}).get("userAssignedIdentities") or {})
            if not users:
                told = "An identity of type UserAssigned names at least one user-assigned identity."
                raise refusals.invalid(told, "identity.userAssignedIdentities")
            return self._emulator.assign(request, users[0])
        if kind == _NONE:
            raise refusals.invalid("An online endpoint needs an identity.", "identity.type")
        return self._made(request.id)

    def told(self, endpoint: Endpoint) -> dict[str, Any]:
        """The identity as the endpoint's document tells it, with the ids of who it is."""
        asked = endpoint.document.get("identity") or {"type": "SystemAssigned"}
        if _SYSTEM in str(asked["type"]).lower():
            asked = {**asked, "principalId": endpoint.identity, "tenantId": self._emulator.place.tenant}
        users = {name: self._emulator.principals.find(name) for name in asked.get("userAssignedIdentities") or {}}
        known = {name: each for name, each in users.items() if each}
        ids = {name: {"principalId": each.object_id, "clientId": each.client_id} for name, each in known.items()}
        return {**asked, **({"userAssignedIdentities": ids} if ids else {})}

    def forget(self, endpoint: Endpoint) -> None:
        """Delete a system-assigned identity with its endpoint."""
        asked = str((endpoint.document.get("identity") or {}).get("type") or _SYSTEM).lower()
        if _SYSTEM in asked and _USER not in asked:
            for each in self._emulator.assignments.all():
                if each.principal == endpoint.identity:
                    self._emulator.assignments.revoke(each.name)
            self._emulator.principals.remove(endpoint.identity)

    def variables(self, endpoint: Endpoint) -> dict[str, str]:
        """What a container of the endpoint finds its identity by: a user-assigned one is asked for by its client id."""
        told = self._emulator.msi.variables(endpoint.identity)
        return {name: told[name] for name in _TOLD}

    def _made(self, endpoint: str) -> str:
        emulator = self._emulator
        made = emulator.principals.create(f"onlineEndpoints/{own(endpoint)}").object_id
        workspace = emulator.workspaces.get(endpoint)
        account = emulator.place.id("Microsoft.Storage", "storageAccounts", workspace.account)
        registries = workspace.document.get("properties", {}).get("containerRegistry")
        scopes = {"Microsoft.Storage": account, "Microsoft.ContainerRegistry": registries or emulator.place.group_id}
        for provider, role in _ROLES.items():
            with suppress(KeyError):  # a role that nobody has defined
                emulator.assignments.assign(made, guid(role), scopes[provider])
        return made
