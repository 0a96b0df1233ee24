"""A container and a blob as the service keeps them, and the headers in which it tells of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from werkzeug.http import http_date

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

# What a client says of a blob: the request's header, the header of answers, the element in lists.
SETTINGS: dict[str, tuple[str, str]] = {
    "x-ms-blob-content-type": ("Content-Type", "Content-Type"),
    "x-ms-blob-content-encoding": ("Content-Encoding", "Content-Encoding"),
    "x-ms-blob-content-language": ("Content-Language", "Content-Language"),
    "x-ms-blob-content-disposition": ("Content-Disposition", "Content-Disposition"),
    "x-ms-blob-cache-control": ("Cache-Control", "Cache-Control"),
}
MD5 = "Content-MD5"
CONTENT_TYPE = "Content-Type"
DEFAULT_TYPE = "application/octet-stream"
METADATA = "x-ms-meta-"
_TIER = "Hot"


class Block(NamedTuple):
    """A block of a blob: its id in base64, and its bytes' number."""

    id: str
    size: int


@dataclass(frozen=True)
class Container:
    """A container of an account."""

    account: str
    name: str
    etag: str
    modified: datetime
    metadata: Mapping[str, str] = field(default_factory=dict)

    def headers(self) -> dict[str, str]:
        """What answers tell of it."""
        return {
            **identity(self),
            **_meta(self.metadata),
            "x-ms-lease-status": "unlocked",
            "x-ms-lease-state": "available",
            "x-ms-has-immutability-policy": "false",
            "x-ms-has-legal-hold": "false",
            "x-ms-default-encryption-scope": "$account-encryption-key",
            "x-ms-deny-encryption-scope-override": "false",
        }


@dataclass(frozen=True)
class Copy:
    """How a blob came to be as another's copy."""

    id: str
    source: str
    at: datetime

    def headers(self, size: int) -> dict[str, str]:
        """What answers tell of it."""
        return {
            "x-ms-copy-id": self.id,
            "x-ms-copy-source": self.source,
            "x-ms-copy-status": "success",
            "x-ms-copy-progress": f"{size}/{size}",
            "x-ms-copy-completion-time": http_date(self.at),
        }


@dataclass(frozen=True)
class Blob:
    """A block blob. `file` holds its bytes and never changes; `md5` is empty where the service knows none.

    `settings` are the headers of answers that a writer chose, `Content-Type` among them.
    """

    name: str
    file: Path
    size: int
    etag: str
    created: datetime
    modified: datetime
    md5: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    blocks: tuple[Block, ...] = ()
    copy: Copy | None = None

    @property
    def content_type(self) -> str:
        """Of what type its writer said it is."""
        return self.settings.get(CONTENT_TYPE) or DEFAULT_TYPE

    def headers(self) -> dict[str, str]:
        """What answers tell of it, but length and type."""
        own = {name: value for name, value in self.settings.items() if name != CONTENT_TYPE}
        return {
            **identity(self),
            **own,
            **_meta(self.metadata),
            **(self.copy.headers(self.size) if self.copy else {}),
            "Accept-Ranges": "bytes",
            "x-ms-blob-type": "BlockBlob",
            "x-ms-creation-time": http_date(self.created),
            "x-ms-lease-status": "unlocked",
            "x-ms-lease-state": "available",
            "x-ms-server-encrypted": "true",
        }

    def tier(self) -> dict[str, str]:
        """What answers to HEAD tell beside."""
        return {"x-ms-access-tier": _TIER, "x-ms-access-tier-inferred": "true"}

    def properties(self) -> dict[str, str]:
        """What lists tell of it, in the order of the service."""
        listed = {element: self.settings.get(header, "") for header, element in SETTINGS.values()}
        return {
            "Creation-Time": http_date(self.created),
            "Last-Modified": http_date(self.modified),
            "Etag": self.etag.strip('"'),
            "Content-Length": str(self.size),
            **listed,
            "Content-Type": self.content_type,
            "Content-MD5": self.md5,
            "BlobType": "BlockBlob",
            "AccessTier": _TIER,
            "AccessTierInferred": "true",
            "LeaseStatus": "unlocked",
            "LeaseState": "available",
            "ServerEncrypted": "true",
        }


def identity(record: Container | Blob) -> dict[str, str]:
    """Entity tag and time of the last change."""
    return {"ETag": record.etag, "Last-Modified": http_date(record.modified)}


def _meta(metadata: Mapping[str, str]) -> dict[str, str]:
    return {METADATA + name: value for name, value in metadata.items()}
