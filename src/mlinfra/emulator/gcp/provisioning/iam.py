"""Service accounts and custom roles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.emulator.gcp.provisioning.kind import removed
from mlinfra.emulator.provisioning import Kind, Made, Refused, same

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.emulator.gcp.provisioning.cloud import Cloud
    from mlinfra.emulator.provisioning import Declared, Inputs


def _account_create(cloud: Cloud, declared: Declared) -> Made:
    inputs = declared.inputs
    body = {"accountId": inputs["accountId"], "serviceAccount": {"displayName": inputs.get("displayName", "")}}
    made = cloud.call("POST", f"/v1/projects/{cloud.project}/serviceAccounts", body)
    email = made["email"]
    return Made(made["name"], {"email": email, "uniqueId": made["uniqueId"], "member": f"serviceAccount:{email}"})


def _account_path(_cloud: Cloud, declared: Declared) -> str:
    return f"/v1/{declared.id}"


def _account_read(cloud: Cloud, declared: Declared) -> Mapping[str, Any] | None:
    return None if cloud.found(_account_path(cloud, declared)) is None else {}


def _role_create(cloud: Cloud, declared: Declared) -> Made:
    if cloud.emulator.identity.bindings.defined(declared.id) is not None:
        raise Refused(f"a role named {declared.id} already exists", exists=True)
    _role_update(cloud, declared, {})
    return Made(declared.id)


def _role_update(cloud: Cloud, declared: Declared, _before: Inputs) -> Mapping[str, Any]:
    """Roles have no interface in the emulator: its table of them is written."""
    cloud.emulator.identity.bindings.define(declared.id, declared.inputs["permissions"])
    return {}


def _role_read(cloud: Cloud, declared: Declared) -> Mapping[str, Any] | None:
    now = cloud.emulator.identity.bindings.defined(declared.id)
    if now is None:
        return None
    return {} if set(now) == set(declared.inputs["permissions"]) else {"permissions": list(now)}


def _role_delete(cloud: Cloud, declared: Declared) -> None:
    cloud.emulator.identity.bindings.forget(declared.id)


KINDS: dict[str, Kind[Cloud]] = {
    "gcp:serviceaccount/account:Account": Kind(_account_create, removed(_account_path), _account_read, same),
    "gcp:projects/iAMCustomRole:IAMCustomRole": Kind(_role_create, _role_delete, _role_read, _role_update),
}
