"""Registries: what several workspaces share assets by."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.azure.names import ML, own, owner_of
from mlinfra.emulator.azure.wire import refusals
from mlinfra.emulator.table import Table

if TYPE_CHECKING:
    from mlinfra.emulator.azure.emulator import AzureEmulator


@dataclass(frozen=True)
class Registry:
    """One registry, and the storage account that the service keeps for it."""

    id: str
    account: str


class Registries:
    """All registries of one emulator. Thread-safe."""

    def __init__(self, emulator: AzureEmulator) -> None:
        self._emulator = emulator
        self.records: Table[Registry] = Table(emulator.clock, emulator.settings.list_lag)

    def create(self, name: str) -> None:
        """Make a registry in the emulator's resource group. Safe to repeat."""
        place = self._emulator.place
        made = Registry(place.id(ML, "registries", name), f"reg{sha256(name.lower().encode()).hexdigest()[:20]}")
        if made.id not in self.records:
            self.records.add(made.id, made)
            self._emulator.storage.create_account(made.account)

    def find(self, name: str) -> Registry | None:
        """A registry by its name, which is unique in the tenant."""
        return next((each for each in self.records.values() if own(each.id).lower() == name.lower()), None)

    def get(self, name: str) -> Registry:
        """The registry that an id lies in, or is. Clients that know its name alone may name another group.

        Raises:
            Refusal: there is none.
        """
        found = self.find(own(owner_of(name)))
        if found is None:
            raise refusals.resource_not_found(owner_of(name))
        return found

    def told(self, registry: Registry) -> dict[str, Any]:
        """A registry's document."""
        emulator = self._emulator
        name = own(registry.id)
        return {
            "id": registry.id,
            "name": name,
            "type": f"{ML}/registries",
            "location": emulator.place.region,
            "tags": {},
            "identity": {"type": "SystemAssigned"},
            "properties": {
                "publicNetworkAccess": "Enabled",
                "discoveryUrl": f"{emulator.secure}/registrymanagement/v1.0/registries/{name}/discovery",
                "regionDetails": [{"location": emulator.place.region}],
            },
        }
