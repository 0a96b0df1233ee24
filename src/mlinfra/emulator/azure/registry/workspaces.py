"""Resource groups and workspaces."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.azure.names import ML, group_of, own, owner_of
from mlinfra.emulator.azure.registry.assets import system_data
from mlinfra.emulator.azure.registry.datastores import DEFAULT_STORE, blob_store
from mlinfra.emulator.azure.wire import refusals
from mlinfra.emulator.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from mlinfra.emulator.azure.emulator import AzureEmulator

_ASKED = ("location", "tags", "sku", "kind", "identity")
ARTIFACT_STORE, ARTIFACT_CONTAINER = "workspaceartifactstore", "azureml"  # logs and files of runs


@dataclass
class Workspace:
    """One workspace. `document` is what was asked for; `datastores` holds properties by name."""

    id: str
    guid: str
    created: datetime
    document: dict[str, Any]
    account: str  # its storage account's name
    container: str  # of the default datastore
    principal: str  # the object id of its own identity
    datastores: dict[str, dict[str, Any]] = field(default_factory=dict)

    def containers(self) -> dict[str, str]:
        """The containers that were made with it, by their datastores."""
        return {DEFAULT_STORE: self.container, ARTIFACT_STORE: ARTIFACT_CONTAINER}


class Workspaces:
    """All workspaces of one emulator, and the groups that they lie in. Thread-safe."""

    def __init__(self, emulator: AzureEmulator) -> None:
        self._emulator = emulator
        self.groups: Table[dict[str, Any]] = Table(emulator.clock, emulator.settings.list_lag)
        self.records: Table[Workspace] = Table(emulator.clock, emulator.settings.list_lag)

    def create_group(self, name: str, tags: Mapping[str, str] | None = None) -> None:
        """Make a resource group. Safe to repeat."""
        place = self._emulator.place
        document = {
            "id": place.group(name),
            "name": name,
            "type": "Microsoft.Resources/resourceGroups",
            "location": place.region,
            "tags": dict(tags or {}),
            "properties": {"provisioningState": "Succeeded"},
        }
        if name.lower() not in self.groups:
            self.groups.add(name.lower(), document)

    def create(self, name: str, account: str, document: Mapping[str, Any] | None = None) -> Workspace:
        """Make a workspace on a storage account, with its default datastore. Safe to repeat.

        `name` is the workspace's id. The container of the default datastore is made in the account.
        """
        emulator = self._emulator
        with self.records.lock:
            found = self.records.get(name)
            if found is not None:
                return found
            guid = str(uuid.uuid5(uuid.UUID(emulator.place.subscription), name.lower()))
            container = f"azureml-blobstore-{guid}"
            principal = emulator.principals.create(own(name), name).object_id
            made = Workspace(name, guid, emulator.clock.now(), dict(document or {}), account, container, principal)
            for store, each in made.containers().items():
                emulator.storage.create_container(account, each)
                properties = blob_store(account, each, "core.windows.net", default=store == DEFAULT_STORE)
                made.datastores[store] = properties
            self.records.add(name, made)
            return made

    def group(self, name: str) -> dict[str, Any]:
        """The resource group that an id lies in, or is.

        Raises:
            Refusal: there is none.
        """
        group = own(group_of(name))
        found = self.groups.get(group.lower())
        if found is None:
            raise refusals.group_not_found(group)
        return found

    def get(self, name: str) -> Workspace:
        """The workspace that an id lies in, or is.

        Raises:
            Refusal: there is none, or not even its group.
        """
        owner = owner_of(name)
        self.group(owner)
        found = self.records.get(owner)
        if found is None:
            raise refusals.resource_not_found(owner)
        return found

    def told(self, workspace: Workspace) -> dict[str, Any]:
        """A workspace's document."""
        emulator = self._emulator
        place, document = emulator.place, workspace.document
        asked = {name: document[name] for name in _ASKED if document.get(name) is not None}
        return {
            "id": workspace.id,
            "name": own(workspace.id),
            "type": f"{ML}/workspaces",
            "location": place.region,
            "kind": "Default",
            "sku": {"name": "Basic", "tier": "Basic"},
            "tags": {},
            **asked,
            "identity": {
                "type": "SystemAssigned",
                **(document.get("identity") or {}),
                "principalId": workspace.principal,
                "tenantId": place.tenant,
            },
            "properties": {**_defaults(workspace, emulator), **(document.get("properties") or {})},
            "systemData": system_data(workspace.created, workspace.created, workspace.principal),
        }


def _defaults(workspace: Workspace, emulator: AzureEmulator) -> dict[str, Any]:
    base, place, name = emulator.secure, emulator.place, own(workspace.id)
    return {
        "workspaceId": workspace.guid,
        "friendlyName": name,
        "hbiWorkspace": False,
        "provisioningState": "Succeeded",
        "publicNetworkAccess": "Enabled",
        "discoveryUrl": f"{base}/discovery/workspaces/{name}",
        "mlFlowTrackingUri": f"azureml://{base.removeprefix('https://')}/mlflow/v1.0{workspace.id}",
        "storageAccount": place.id("Microsoft.Storage", "storageAccounts", workspace.account),
        "tenantId": place.tenant,
        "v1LegacyMode": False,
        "systemDatastoresAuthMode": "Identity",
    }
