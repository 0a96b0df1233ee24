"""IAM and the resource manager over REST: policies of resources, service accounts, and the project itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.emulator.gcp.identity.bindings import Binding
from mlinfra.emulator.gcp.wire import refusals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.emulator.gcp.emulator import GcpEmulator

_ETAG = "BwYAAAAAAAA="


def held(emulator: GcpEmulator, principal: str, resource: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Which of the permissions asked about somebody has."""
    decide = emulator.policy.decide
    enforced = emulator.settings.enforce_policy
    found = [
        each for each in body.get("permissions", []) if not enforced or decide(principal, str(each), resource).allowed
    ]
    return {"permissions": found} if found else {}


def policy(emulator: GcpEmulator, resource: str) -> dict[str, Any]:
    """The policy of a resource."""
    bindings = [each.as_document() for each in emulator.identity.bindings.of(resource)]
    return {"version": 3, "etag": _ETAG, "bindings": bindings}


def set_policy(emulator: GcpEmulator, resource: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Put a policy in the place of a resource's.

    Raises:
        Refusal: INVALID_ARGUMENT, it is none; nothing was changed.
    """
    wanted = body.get("policy", {}).get("bindings", [])
    emulator.identity.bindings.set(resource, [_binding(each) for each in wanted])
    return policy(emulator, resource)


def account(emulator: GcpEmulator, email: str) -> dict[str, Any]:
    """A service account.

    Raises:
        Refusal: NOT_FOUND.
    """
    if not emulator.principals.exists(email):
        raise refusals.not_found(f"Service account {email}")
    return {
        "name": f"projects/{emulator.project}/serviceAccounts/{email}",
        "projectId": emulator.project,
        "uniqueId": emulator.principals.unique_id(email),
        "email": email,
    }


def accounts(emulator: GcpEmulator) -> dict[str, Any]:
    """The project's own service accounts."""
    emails = [each for each in emulator.principals.emails() if each.endswith(f"@{emulator.project}.{_DOMAIN}")]
    return {"accounts": [account(emulator, email) for email in emails]}


def create_account(emulator: GcpEmulator, body: Mapping[str, Any]) -> dict[str, Any]:
    """Make a service account.

    Raises:
        Refusal: ALREADY_EXISTS.
    """
    email = f"{body.get('accountId', '')}@{emulator.project}.{_DOMAIN}"
    if emulator.principals.exists(email):
        raise refusals.already_exists(f"Service account {body.get('accountId')} already exists within project.")
    emulator.principals.create(email)
    return account(emulator, email)


def delete_account(emulator: GcpEmulator, email: str) -> dict[str, Any]:
    """Delete a service account.

    Raises:
        Refusal: NOT_FOUND.
    """
    account(emulator, email)
    emulator.principals.remove(email)
    return {}


def access_token(emulator: GcpEmulator, email: str) -> dict[str, Any]:
    """A token of a service account, for somebody who may act for it.

    Raises:
        Refusal: NOT_FOUND.
    """
    account(emulator, email)
    token = emulator.principals.token(email)
    return {"accessToken": token, "expireTime": emulator.principals.expiry(token).strftime("%Y-%m-%dT%H:%M:%SZ")}


def project(emulator: GcpEmulator, version: str) -> dict[str, Any]:
    """The project, as version 1 or 3 of the resource manager tells it."""
    if version == "v3":
        return {"name": f"projects/{emulator.project_number}", "projectId": emulator.project, "state": "ACTIVE"}
    return {
        "projectNumber": emulator.project_number,
        "projectId": emulator.project,
        "lifecycleState": "ACTIVE",
        "name": emulator.project,
    }


_DOMAIN = "iam.gserviceaccount.com"


def _binding(document: Mapping[str, Any]) -> Binding:
    condition = document.get("condition") or {}
    return Binding(document["role"], tuple(document["members"]), str(condition.get("expression", "")))
