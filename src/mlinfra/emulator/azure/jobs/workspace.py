"""The workspace's own identity: what runs as nobody in particular runs as the workspace, which may use its storage."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from mlinfra.emulator.azure.identity.roles import guid

if TYPE_CHECKING:
    from mlinfra.emulator.azure.emulator import AzureEmulator
    from mlinfra.emulator.azure.registry.workspaces import Workspace

_AUDIENCE = "https://ml.azure.com"
_ROLE, _STORAGE_ROLE = "AzureML Data Scientist", "Storage Blob Data Contributor"


class Agents:
    """The identities of all workspaces of an emulator. They get their roles, which the service gives them, here."""

    def __init__(self, emulator: AzureEmulator) -> None:
        self._emulator = emulator
        self._lock = Lock()
        self._granted: set[str] = set()

    def of(self, workspace: Workspace) -> str:
        """The object id of a workspace's identity."""
        with self._lock:
            if workspace.principal not in self._granted:
                self._granted.add(workspace.principal)
                account = self._emulator.place.id("Microsoft.Storage", "storageAccounts", workspace.account)
                self._emulator.assignments.assign(workspace.principal, guid(_ROLE), workspace.id)
                self._emulator.assignments.assign(workspace.principal, guid(_STORAGE_ROLE), account)
        return workspace.principal

    def token(self, workspace: Workspace) -> str:
        """A token of a workspace's identity for its services."""
        return self._emulator.principals.token(self.of(workspace), _AUDIENCE)
