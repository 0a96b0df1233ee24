"""ARM's operations on role definitions, role assignments, and what a caller may do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.azure import paging
from mlinfra.emulator.azure.identity import documents
from mlinfra.emulator.azure.identity.roles import BUILT_IN
from mlinfra.emulator.azure.names import own
from mlinfra.emulator.azure.operations import Operation, Reply
from mlinfra.emulator.azure.wire import refusals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlinfra.emulator.azure.emulator import AzureEmulator
    from mlinfra.emulator.azure.identity.assignments import Assignment
    from mlinfra.emulator.azure.operations import Request

_AUTHORIZATION = "Microsoft.Authorization"
_ROLES = f"/{{scope}}/providers/{_AUTHORIZATION}/roleDefinitions"
_ASSIGNED = f"/{{scope}}/providers/{_AUTHORIZATION}/roleAssignments"
_PERMISSIONS = f"/{{scope}}/providers/{_AUTHORIZATION}/permissions"
_PRINCIPAL = re.compile(r"(?:principalId|assignedTo\()\s*(?:eq\s*)?'([0-9a-fA-F-]+)'\)?")
_NAMED = re.compile(r"roleName eq '([^']*)'")


def _scope(request: Request) -> str:
    return f"/{request.parts['scope']}"


def _get_role(emulator: AzureEmulator, request: Request) -> Any:
    return documents.role(emulator, _role(emulator, request))


def _list_roles(emulator: AzureEmulator, request: Request) -> Any:
    named = _NAMED.search(request.query.get("$filter", ""))
    found = [name for name, each in emulator.assignments.roles().items() if not named or each.name == named[1]]
    return paging.page(found, request, key=str, told=lambda name: documents.role(emulator, name))


def _put_role(emulator: AzureEmulator, request: Request) -> Reply:
    name = request.parts["roleDefinitionId"]
    if name in BUILT_IN:
        raise refusals.refusal("RoleDefinitionIsReadOnly", f"The role definition '{name}' is built in.", 403)
    created = name not in emulator.assignments.roles()
    emulator.assignments.define(name, documents.read_role(request.body))
    return Reply(documents.role(emulator, name), 201 if created else 200)


def _delete_role(emulator: AzureEmulator, request: Request) -> Reply:
    name = request.parts["roleDefinitionId"]
    if name not in emulator.assignments.roles():
        return Reply(None, 204)
    if any(each.role == name for each in emulator.assignments.all()):
        told = "There are existing role assignments referencing role."
        raise refusals.refusal("RoleDefinitionHasAssignments", told, 409)
    found = documents.role(emulator, name)
    emulator.assignments.undefine(name)
    return Reply(found)


def _get_assignment(emulator: AzureEmulator, request: Request) -> Any:
    return documents.assignment(emulator, _assignment(emulator, request))


def _put_assignment(emulator: AzureEmulator, request: Request) -> Reply:
    properties = request.body.get("properties") or {}
    role, principal = own(str(properties.get("roleDefinitionId", ""))), str(properties.get("principalId", ""))
    if properties.get("condition"):
        raise refusals.not_emulated("A condition of a role assignment")
    if role not in emulator.assignments.roles():
        told = f"The specified role definition with ID '{role}' does not exist."
        raise refusals.refusal("RoleDefinitionDoesNotExist", told, 404)
    if emulator.principals.get(principal) is None:
        told = f"Principal {principal} does not exist in the directory {emulator.place.tenant}."
        raise refusals.refusal("PrincipalNotFound", told)
    name, scope = request.parts["roleAssignmentName"], _scope(request)
    found = emulator.assignments.get(name)
    if found is not None and (found.scope, found.role, found.principal) != (scope, role, principal):
        told = "Tenant ID, application ID, principal ID, and scope are not allowed to be updated."
        raise refusals.refusal("RoleAssignmentUpdateNotPermitted", told)
    made = emulator.assignments.assign(principal, role, scope, name)
    if made.name != name:
        raise refusals.refusal("RoleAssignmentExists", "The role assignment already exists.", 409)
    return Reply(documents.assignment(emulator, made), 200 if found else 201)


def _delete_assignment(emulator: AzureEmulator, request: Request) -> Reply:
    gone = emulator.assignments.revoke(request.parts["roleAssignmentName"])
    return Reply(documents.assignment(emulator, gone)) if gone else Reply(None, 204)


def _list_assignments(emulator: AzureEmulator, request: Request) -> Any:
    """Those at the scope, above it and, but for `atScope()`, below it."""
    asked, scope = request.query.get("$filter", ""), _scope(request).lower()
    principal = _PRINCIPAL.search(asked)
    found = []
    for each in emulator.assignments.all():
        own_scope = each.scope.lower()
        above = f"{scope}/".startswith(f"{own_scope.rstrip('/')}/")
        below = own_scope.startswith(f"{scope}/") and "atScope()" not in asked
        if (above or below) and (not principal or each.principal == principal[1].lower()):
            found.append(each)
    return paging.page(
        found, request, key=lambda each: str(each.name), told=lambda each: documents.assignment(emulator, each)
    )


def _permissions(emulator: AzureEmulator, request: Request) -> Any:
    """What the caller may do on a scope: the permissions of each role that reaches it."""
    scope = f"{_scope(request)}/".lower()
    roles = emulator.assignments.roles()
    held = [
        documents.permissions(roles[each.role])
        for each in emulator.assignments.all()
        if each.principal == request.principal and scope.startswith(f"{each.scope.rstrip('/')}/".lower())
    ]
    return {"value": held}


def _role(emulator: AzureEmulator, request: Request) -> str:
    name = request.parts["roleDefinitionId"]
    if name not in emulator.assignments.roles():
        told = f"The specified role definition with ID '{name}' does not exist."
        raise refusals.refusal("RoleDefinitionDoesNotExist", told, 404)
    return name


def _assignment(emulator: AzureEmulator, request: Request) -> Assignment:
    found = emulator.assignments.get(request.parts["roleAssignmentName"])
    if found is None:
        told = f"The role assignment '{request.parts['roleAssignmentName']}' is not found."
        raise refusals.refusal("RoleAssignmentNotFound", told, 404)
    return found


_IMMEDIATE = ("in force at once; the service takes up to ten minutes",)
_NO_CONDITIONS = ("conditions are refused", *_IMMEDIATE)


def _rows() -> Iterator[tuple[str, str, str, Callable[[AzureEmulator, Request], Any], str, tuple[str, ...]]]:
    """Name, method, path, handler, permission, differences."""
    role, assigned = f"{_ROLES}/{{roleDefinitionId}}", f"{_ASSIGNED}/{{roleAssignmentName}}"
    yield "RoleDefinitions_Get", "GET", role, _get_role, "roleDefinitions/read", ()
    yield "RoleDefinitions_List", "GET", _ROLES, _list_roles, "roleDefinitions/read", ()
    yield "RoleDefinitions_CreateOrUpdate", "PUT", role, _put_role, "roleDefinitions/write", _IMMEDIATE
    yield "RoleDefinitions_Delete", "DELETE", role, _delete_role, "roleDefinitions/delete", ()
    yield "RoleAssignments_Get", "GET", assigned, _get_assignment, "roleAssignments/read", ()
    yield "RoleAssignments_ListForScope", "GET", _ASSIGNED, _list_assignments, "roleAssignments/read", ()
    yield "RoleAssignments_Create", "PUT", assigned, _put_assignment, "roleAssignments/write", _NO_CONDITIONS
    yield "RoleAssignments_Delete", "DELETE", assigned, _delete_assignment, "roleAssignments/delete", _IMMEDIATE
    yield "Permissions_ListForResource", "GET", _PERMISSIONS, _permissions, "permissions/read", ()


OPERATIONS: tuple[Operation, ...] = tuple(
    Operation(name, method, path, handle, f"{_AUTHORIZATION}/{action}", differences=differences)
    for name, method, path, handle, action, differences in _rows()
)
