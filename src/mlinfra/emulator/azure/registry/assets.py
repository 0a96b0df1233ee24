"""Codes, environments, data and models: containers, and versions that are immutable once made.

What a version points at (`codeUri`, `modelUri`, `dataUri`, `image`, `condaFile`) is for ever; tags, description,
properties, stage, flavors and `isArchived` may change.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import RLock
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.azure.names import kind_of, own, parent, told_time
from mlinfra.emulator.azure.wire import refusals
from mlinfra.emulator.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from mlinfra.emulator.azure.emulator import AzureEmulator

_CACHES = frozenset({"codes", "environments"})  # kept by their content: no leftovers
# What may change once a version is made.
MUTABLE = frozenset({"description", "tags", "properties", "stage", "flavors", "isArchived"})
# What the service tells where a request does not.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "codes": {},
    "environments": {"osType": "Linux", "environmentType": "UserCreated"},
    "data": {},
    "models": {"modelType": "custom_model", "flavors": {}, "jobName": None},
}


@dataclass
class Version:
    """One version of an asset."""

    id: str
    properties: dict[str, Any]
    created: datetime
    modified: datetime
    by: str  # the object id of who made it

    @property
    def archived(self) -> bool:
        """Whether it is out of the usual lists."""
        return bool(self.properties.get("isArchived"))


@dataclass
class Container:
    """An asset: what its versions share."""

    id: str
    properties: dict[str, Any]
    created: datetime
    modified: datetime
    by: str
    versions: Table[Version]

    @property
    def archived(self) -> bool:
        """Whether it is out of the usual lists."""
        return bool(self.properties.get("isArchived"))


class Assets:
    """All assets of one emulator, in workspaces and registries. Thread-safe."""

    def __init__(self, emulator: AzureEmulator) -> None:
        self._emulator = emulator
        self._lock = RLock()
        self.containers: Table[Container] = Table(emulator.clock, emulator.settings.list_lag)

    def container(self, name: str) -> Container:
        """A container by its id.

        Raises:
            Refusal: there is none.
        """
        found = self.containers.get(name)
        if found is None:
            raise refusals.not_found(f"{word(name)} container {own(name)} was not found.")
        return found

    def version(self, name: str) -> Version:
        """A version by its id, `…/models/m/versions/1`.

        Raises:
            Refusal: there is none.
        """
        container = self.containers.get(parent(name))
        found = container.versions.get(name) if container else None
        if found is None:
            raise refusals.not_found(f"{word(name)} {own(parent(name))}:{own(name)} was not found.")
        return found

    def put_container(self, name: str, properties: Mapping[str, Any], by: str) -> tuple[Container, bool]:
        """Make or change a container; whether it is new."""
        with self._lock:
            now = self._emulator.clock.now()
            found = self.containers.get(name)
            if found is None:
                versions: Table[Version] = Table(self._emulator.clock, self._emulator.settings.list_lag)
                found = Container(name, dict(properties), now, now, by, versions)
                self.containers.add(name, found)
                return found, True
            found.properties = dict(properties)
            found.modified = now
            return found, False

    def put_version(self, name: str, properties: Mapping[str, Any], by: str) -> tuple[Version, bool]:
        """Make a version, and its container where there is none; or change what of it may change.

        Raises:
            Refusal: it exists, and something else than that would change.
        """
        with self._lock:
            container = self.containers.get(parent(name)) or self.put_container(parent(name), {}, by)[0]
            now = self._emulator.clock.now()
            found = container.versions.get(name)
            if found is None:
                found = Version(name, dict(properties), now, now, by)
                container.versions.add(name, found)
                container.modified = now
                return found, True
            _check_immutable(found, properties)
            kept = {key: value for key, value in found.properties.items() if key not in MUTABLE}
            found.properties = kept | {key: value for key, value in properties.items() if key in MUTABLE}
            found.modified = now
            return found, False

    def remove(self, name: str) -> bool:
        """Remove a version or a container with its versions; whether there was one."""
        with self._lock:
            if own(parent(name)) and "/versions/" in name:
                container = self.containers.get(parent(name))
                return bool(container and container.versions.remove(name))
            return self.containers.remove(name) is not None

    def told(self, asset: Version | Container) -> dict[str, Any]:
        """The document of a version or a container."""
        properties: dict[str, Any] = {"description": None, "tags": {}, "properties": {}, "isArchived": False}
        if isinstance(asset, Container):
            properties |= asset.properties | _numbers(asset)
        else:
            properties |= {"isAnonymous": False, **_DEFAULTS[_collection(asset.id)], **asset.properties}
        return {
            "id": asset.id,
            "name": own(asset.id),
            "type": kind_of(asset.id),
            "properties": {**properties, "provisioningState": "Succeeded"},
            "systemData": system_data(asset.created, asset.modified, asset.by),
        }

    def leftovers(self) -> list[str]:
        """Ids of the versions of models and data that are still there; codes and environments are caches by content."""
        return [
            version.id
            for container in self.containers.values()
            if _collection(container.id) not in _CACHES
            for version in container.versions.values()
        ]


def system_data(created: datetime, modified: datetime, by: str) -> dict[str, Any]:
    """ARM's account of who made something and when."""
    return {
        "createdAt": told_time(created),
        "createdBy": by,
        "createdByType": "Application",
        "lastModifiedAt": told_time(modified),
        "lastModifiedBy": by,
        "lastModifiedByType": "Application",
    }


def word(name: str) -> str:
    """What an asset is called in a sentence: Model, Code, Environment, Data."""
    return _collection(name).rstrip("s").capitalize()


def _check_immutable(found: Version, properties: Mapping[str, Any]) -> None:
    before = {**_DEFAULTS[_collection(found.id)], **found.properties}
    for key, value in properties.items():
        if key in MUTABLE or before.get(key) == value or (key == "isAnonymous" and not value):
            continue
        if key.endswith("Uri"):
            raise refusals.invalid("Asset paths cannot be updated.", f"properties.{key}")
        raise refusals.conflict(
            f"{word(found.id)} {own(parent(found.id))}:{own(found.id)} already exists, and its {key} cannot be "
            f"changed; only {', '.join(sorted(MUTABLE))} can.",
            "ImmutableProperty",
        )


def _numbers(container: Container) -> dict[str, Any]:
    names = [own(each.id) for each in container.versions.values() if not each.archived]
    numbers = [int(own(name)) for name in container.versions if own(name).isdigit()]
    return {"latestVersion": names[-1] if names else None, "nextVersion": str(max(numbers, default=0) + 1)}


def _collection(name: str) -> str:
    return kind_of(name).split("/")[2]
