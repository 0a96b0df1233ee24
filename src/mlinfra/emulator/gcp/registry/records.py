"""What is kept of a model: what all its versions share, the versions, and which alias points at which of them.

Labels that come with an upload are the version's; those of an update without a version are the model's. A look-up
shows both, the version's first.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from google.cloud.aiplatform_v1 import types

from mlinfra.emulator.gcp.wire import refusals
from mlinfra.emulator.gcp.wire.messages import copied, plain

if TYPE_CHECKING:
    from datetime import datetime

    from mlinfra.emulator.table import Table

DEFAULT = "default"


@dataclass
class Version:
    """One version. `message` holds what was uploaded; labels in it are the version's own."""

    id: str
    message: types.Model
    created: datetime
    updated: datetime


@dataclass
class Record:
    """One model."""

    name: str
    display_name: str
    description: str
    created: datetime
    updated: datetime
    versions: Table[Version]
    labels: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)  # alias -> version
    newest: int = 0
    changes: int = 0

    @classmethod
    def of(cls, name: str, message: types.Model, now: datetime, versions: Table[Version]) -> Record:
        """A model without versions."""
        return cls(name, message.display_name, message.description, now, now, versions)

    def add(self, message: types.Model, now: datetime) -> Version:
        """Put a new version in; the first one becomes the default."""
        self.newest += 1
        version = Version(str(self.newest), message, now, now)
        wanted = list(message.version_aliases) + ([DEFAULT] if not self.aliases else [])
        self.aliases |= dict.fromkeys(wanted, version.id)
        self.versions.add(version.id, version)
        self.updated = now
        return version

    def find(self, which: str) -> Version:
        """A version by its id or an alias; the default one where neither is said.

        Raises:
            Refusal: NOT_FOUND.
        """
        own = which if which.isdigit() else self.aliases.get(which or DEFAULT, "")
        found = self.versions.get(own)
        if found is None:
            raise refusals.not_found(f"The Model {self.name}@{which}")
        return found

    def drop(self, version: Version, now: datetime) -> None:
        """Take a version out, with the aliases that point at it."""
        self.versions.remove(version.id)
        self.aliases = {alias: which for alias, which in self.aliases.items() if which != version.id}
        self.updated = now

    def touch(self, now: datetime) -> None:
        """Note an update: the etag is another one."""
        self.updated = now
        self.changes += 1

    @property
    def etag(self) -> str:
        """Another one after each update.

        New versions and aliases leave it: the vendor's high-level client keeps the one that it saw at upload.
        """
        return hashlib.sha256(f"{self.name}:{self.changes}".encode()).hexdigest()[:16]

    def told(self, version: Version, *, versioned: bool = False) -> types.Model:
        """The model as the service tells it, as it is at a version. `versioned`: its name tells the version as well."""
        message = copied(version.message)
        message.name = f"{self.name}@{version.id}" if versioned else self.name
        message.display_name, message.description = self.display_name, self.description
        message.version_id = version.id
        message.version_aliases = sorted(alias for alias, which in self.aliases.items() if which == version.id)
        message.labels = {**self.labels, **dict(version.message.labels)}
        message.etag = self.etag
        raw = plain(message)
        for member, moment in self._moments(version).items():
            getattr(raw, member).FromDatetime(moment)
        return _completed(message)

    def _moments(self, version: Version) -> dict[str, datetime]:
        return {
            "create_time": self.created,
            "update_time": self.updated,
            "version_create_time": version.created,
            "version_update_time": version.updated,
        }


def _completed(message: types.Model) -> types.Model:
    """What the service says of every model that brings its own container."""
    kinds: Any = types.Model
    if message.container_spec.image_uri:
        message.supported_deployment_resources_types = [kinds.DeploymentResourcesType.DEDICATED_RESOURCES]
        message.supported_input_storage_formats = ["jsonl", "bigquery", "csv", "tf-record", "file-list"]
        message.supported_output_storage_formats = ["jsonl", "bigquery"]
    content = kinds.ExportFormat.ExportableContent.ARTIFACT
    if message.artifact_uri:
        message.supported_export_formats = [kinds.ExportFormat(id="custom-trained", exportable_contents=[content])]
    message.model_source_info = types.ModelSourceInfo(source_type=types.ModelSourceInfo.ModelSourceType.CUSTOM)
    return message
