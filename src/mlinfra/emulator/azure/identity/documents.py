"""Roles, assignments and identities as ARM's documents have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.emulator.azure.identity.roles import Role
from mlinfra.emulator.azure.wire import refusals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.emulator.azure.emulator import AzureEmulator
    from mlinfra.emulator.azure.identity.assignments import Assignment
    from mlinfra.emulator.azure.identity.principals import Principal

_AUTHORIZATION = "Microsoft.Authorization"


def role(emulator: AzureEmulator, name: str) -> dict[str, Any]:
    """A role definition by its GUID."""
    found = emulator.assignments.roles()[name]
    return {
        "id": role_id(emulator, name),
        "name": name,
        "type": f"{_AUTHORIZATION}/roleDefinitions",
        "properties": {
            "roleName": found.name,
            "type": "CustomRole" if found.custom else "BuiltInRole",
            "description": found.description,
            "assignableScopes": list(found.scopes),
            "permissions": [permissions(found)],
        },
    }


def permissions(found: Role) -> dict[str, list[str]]:
    """What a role holds."""
    return {
        "actions": list(found.actions),
        "notActions": list(found.not_actions),
        "dataActions": list(found.data_actions),
        "notDataActions": list(found.not_data_actions),
    }


def read_role(body: Mapping[str, Any]) -> Role:
    """A custom role from the body of a request.

    Raises:
        Refusal: it has no name or no scopes.
    """
    properties = body.get("properties") or {}
    scopes = tuple(properties.get("assignableScopes") or ())
    if not properties.get("roleName") or not scopes:
        told = "The request to create or update role definition misses roleName or assignableScopes."
        raise refusals.refusal("InvalidRoleDefinition", told)
    held = properties.get("permissions") or []

    def all_of(member: str) -> tuple[str, ...]:
        return tuple(action for each in held for action in each.get(member) or ())

    return Role(
        properties["roleName"],
        all_of("actions"),
        all_of("notActions"),
        all_of("dataActions"),
        all_of("notDataActions"),
        scopes,
        custom=True,
        description=properties.get("description", ""),
    )


def role_id(emulator: AzureEmulator, name: str) -> str:
    """The resource id of a role definition."""
    return f"{emulator.place.subscription_id}/providers/{_AUTHORIZATION}/roleDefinitions/{name}"


def assignment(emulator: AzureEmulator, found: Assignment) -> dict[str, Any]:
    """A role assignment."""
    return {
        "id": f"{found.scope}/providers/{_AUTHORIZATION}/roleAssignments/{found.name}",
        "name": found.name,
        "type": f"{_AUTHORIZATION}/roleAssignments",
        "properties": {
            "roleDefinitionId": role_id(emulator, found.role),
            "principalId": found.principal,
            "principalType": "ServicePrincipal",
            "scope": found.scope,
        },
    }


def identity(emulator: AzureEmulator, found: Principal) -> dict[str, Any]:
    """A user-assigned identity."""
    return {
        "id": found.resource_id,
        "name": found.name,
        "type": "Microsoft.ManagedIdentity/userAssignedIdentities",
        "location": emulator.place.region,
        "tags": {},
        "properties": {
            "tenantId": emulator.place.tenant,
            "principalId": found.object_id,
            "clientId": found.client_id,
        },
    }
