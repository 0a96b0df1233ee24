"""A bucket and an object as the service keeps them, and the documents in which the JSON API tells of them."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

Settings = dict[str, Any]
_STANDARD = "STANDARD"

# What a client may say of an object, by the discovery document's `Object`; the service writes the rest itself.
OBJECT_SETTINGS = frozenset(
    {
        "cacheControl",
        "contentDisposition",
        "contentEncoding",
        "contentLanguage",
        "contentType",
        "customTime",
        "eventBasedHold",
        "kmsKeyName",
        "metadata",
        "storageClass",
        "temporaryHold",
    }
)
BUCKET_SETTINGS = frozenset(
    {
        "autoclass",
        "cors",
        "customPlacementConfig",
        "defaultEventBasedHold",
        "encryption",
        "hierarchicalNamespace",
        "iamConfiguration",
        "labels",
        "lifecycle",
        "location",
        "logging",
        "retentionPolicy",
        "rpo",
        "softDeletePolicy",
        "storageClass",
        "versioning",
        "website",
    }
)


@dataclass(frozen=True)
class Bucket:
    """A bucket. `settings` are what its creator or a patch said, in the document's words."""

    name: str
    created: datetime
    updated: datetime
    settings: Settings = field(default_factory=dict)
    metageneration: int = 1

    def document(self, base: str, project_number: str) -> dict[str, Any]:
        """Its resource, by the discovery document's `Bucket`; `base` is the address of the service."""
        return {
            "kind": "storage#bucket",
            "id": self.name,
            "selfLink": f"{base}/storage/v1/b/{self.name}",
            "name": self.name,
            "projectNumber": project_number,
            "metageneration": str(self.metageneration),
            "etag": _etag(self.metageneration),
            "timeCreated": moment(self.created),
            "updated": moment(self.updated),
            "locationType": "region",
            "storageClass": _STANDARD,
            **self.settings,
            "location": str(self.settings.get("location", "US")).upper(),
        }


@dataclass(frozen=True)
class Stored:
    """One generation of an object. `file` holds its bytes and never changes; `md5` is None for a composite."""

    bucket: str
    name: str
    file: Path
    size: int
    crc32c: str
    md5: str | None
    generation: int
    created: datetime
    updated: datetime
    settings: Settings = field(default_factory=dict)
    metageneration: int = 1
    components: int | None = None

    @property
    def etag(self) -> str:
        """The JSON API's entity tag."""
        return _etag(self.generation, self.metageneration)

    @property
    def entity(self) -> str:
        """The XML API's entity tag, without its quotes: the MD5 where there is one."""
        if self.md5:
            return base64.b64decode(self.md5).hex()
        return f"{self.generation:032x}-{self.components or 1}"

    @property
    def content_type(self) -> str:
        """Of what type its writer said it is."""
        return str(self.settings.get("contentType") or "application/octet-stream")

    @property
    def hashes(self) -> str:
        """The value of `x-goog-hash`."""
        return f"crc32c={self.crc32c}" + (f",md5={self.md5}" if self.md5 else "")

    def document(self, base: str) -> dict[str, Any]:
        """Its resource, by the discovery document's `Object`."""
        path = f"b/{self.bucket}/o/{quote(self.name, safe='')}"
        told = {
            "kind": "storage#object",
            "id": f"{self.bucket}/{self.name}/{self.generation}",
            "selfLink": f"{base}/storage/v1/{path}",
            "mediaLink": f"{base}/download/storage/v1/{path}?generation={self.generation}&alt=media",
            "name": self.name,
            "bucket": self.bucket,
            "generation": str(self.generation),
            "metageneration": str(self.metageneration),
            "storageClass": _STANDARD,
            "size": str(self.size),
            "md5Hash": self.md5,
            "crc32c": self.crc32c,
            "etag": self.etag,
            "componentCount": self.components,
            "timeCreated": moment(self.created),
            "updated": moment(self.updated),
            "timeStorageClassUpdated": moment(self.created),
            "timeFinalized": moment(self.created),
            **self.settings,
        }
        return {name: value for name, value in told.items() if value is not None}


def patched(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> Settings:
    """Settings after a PATCH: null removes, mappings are merged member by member."""
    merged = dict(settings)
    for name, value in changes.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict):
            merged[name] = patched(merged.get(name) or {}, value)
        else:
            merged[name] = value
    return merged


def chosen(document: Mapping[str, Any], known: frozenset[str]) -> Settings:
    """The members of a client's document that a client may set; the service ignores the others."""
    return {name: value for name, value in document.items() if name in known}


def moment(at: datetime) -> str:
    """RFC 3339 with milliseconds, as the service writes it."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def _etag(*numbers: int) -> str:
    return base64.b64encode("/".join(map(str, numbers)).encode()).decode()
