"""The object store of an environment, as every adapter's client provides it.

Keys are `/`-separated and relative to the store's base URI. Content is what the kit addresses by digest; a
half written object never stands under its final name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from pathlib import Path


@dataclass(frozen=True)
class ObjectInfo:
    """What is known of an object without reading it. `size` in bytes; `etag` changes with the content."""

    key: str
    size: int
    etag: str
    modified: datetime
    metadata: Mapping[str, str] = field(default_factory=dict)


class Store(Protocol):
    """Blocks; safe to use from several threads. Errors are mlinfra's own."""

    def uri(self, key: str) -> str:
        """The address under which the platform's jobs and servers find the object or prefix."""

    def key(self, uri: str) -> str:
        """The inverse of `uri`.

        Raises:
            NotFound: the address lies outside this store.
        """

    def put(
        self,
        key: str,
        content: bytes | Path,
        *,
        metadata: Mapping[str, str] | None = None,
        if_absent: bool = False,
        if_match: str | None = None,
    ) -> ObjectInfo:
        """Write an object whole or not at all. Safe to repeat without conditions.

        `if_absent` writes only where nothing is, `if_match` only over that etag.

        Raises:
            Conflict: the condition does not hold.
        """

    def get(self, key: str) -> bytes:
        """The whole content; for small objects.

        Raises:
            NotFound: there is no such object.
        """

    def download(self, key: str, target: Path) -> None:
        """Stream an object into a file, which appears whole or not at all.

        Raises:
            NotFound: there is no such object.
            IntegrityError: the bytes are not those that were stored.
        """

    def head(self, key: str) -> ObjectInfo | None:
        """What is known of the object, None where there is none."""

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """The objects below a prefix in the order of their keys, fetched page by page."""

    def delete(self, key: str) -> None:
        """Remove an object. Safe to repeat."""
