"""The contract's store over `obstore`, one for all clouds; each client brings the vendor's address and credentials.

Why obstore: one API with conditional writes, multipart and checksums on every cloud, half the memory and twice the
speed of the vendors' own clients on large objects, and nothing of theirs to import (measured for the design).
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import obstore

from mlinfra.contract.store import ObjectInfo
from mlinfra.errors import IntegrityError, NotFound
from mlinfra.objectstore.refusals import translated
from mlinfra.package.atomic import new_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["ObjectStore"]

_PART = 16 << 20  # bytes of one part of a multipart upload; larger files are sent in parts, several at once
_AT_ONCE = 6
_PAGE = 1000
_SHA256 = "sha256"  # the metadata by which senders tell what an object holds
_OWN_HEADERS = {"Content-Type", "Content-Encoding", "Content-Language", "Content-Disposition", "Cache-Control"}


class ObjectStore:
    """A bucket, or a prefix in one, as `contract.store.Store`. Safe to use from several threads.

    `base` is the address under which the platform's jobs find the store, `key_of` the inverse of `uri` for it.
    `login` is what to do where credentials are missing. `mark` is what the service compares when an object is written
    over one that was read: the content's `e_tag`, or the `version` of the object.
    """

    def __init__(
        self, store: Any, base: str, key_of: Callable[[str, str], str], *, login: str = "", mark: str = "e_tag"
    ) -> None:
        self._store = store
        self._mark = mark
        self._base = base.rstrip("/")
        self._key_of = key_of
        self._login = login

    def uri(self, key: str) -> str:
        """`<base>/<key>`."""
        return f"{self._base}/{key}"

    def key(self, uri: str) -> str:
        """The inverse of `uri`; takes `store://key` as well.

        Raises:
            NotFound: the address lies outside this store.
        """
        return self._key_of(self._base, uri)

    def put(
        self,
        key: str,
        content: bytes | Path,
        *,
        metadata: Mapping[str, str] | None = None,
        if_absent: bool = False,
        if_match: str | None = None,
    ) -> ObjectInfo:
        """Write an object whole or not at all: the service shows nothing under the key before the last part.

        Raises:
            Conflict: the condition does not hold.
        """
        size = content.stat().st_size if isinstance(content, Path) else len(content)
        mode: Any = {self._mark: if_match} if if_match is not None else ("create" if if_absent else None)
        conditional = mode is not None
        with translated(self.uri(key), login=self._login):
            written = obstore.put(
                self._store,
                key,
                content,
                attributes=dict(metadata or {}),
                mode=mode,
                use_multipart=False if conditional else size > _PART,
                chunk_size=_PART,
                max_concurrency=_AT_ONCE,
            )
        return ObjectInfo(key, size, self._etag(written), datetime.now(UTC), dict(metadata or {}))

    def get(self, key: str) -> bytes:
        """The whole content; for small objects.

        Raises:
            NotFound: there is no such object.
        """
        with translated(self.uri(key), login=self._login):
            return bytes(obstore.get(self._store, key).bytes())

    def download(self, key: str, target: Path) -> None:
        """Stream an object into a file, which appears whole or not at all.

        Raises:
            NotFound: there is no such object.
            IntegrityError: the bytes are not those whose digest its sender noted.
        """
        with translated(self.uri(key), login=self._login), new_file(target) as file:
            found = obstore.get(self._store, key)
            digest, size = hashlib.sha256(), 0
            for chunk in found.stream():
                file.write(chunk)
                digest.update(chunk)
                size += len(chunk)
            self._compare(key, found, digest.hexdigest(), size)

    def head(self, key: str) -> ObjectInfo | None:
        """What is known of the object, None where there is none."""
        try:
            with translated(self.uri(key), login=self._login):
                found = obstore.get(self._store, key, options={"head": True})
        except NotFound:
            return None
        metadata = {name: str(value) for name, value in found.attributes.items() if name not in _OWN_HEADERS}
        return self._info(found.meta, metadata)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """The objects below a prefix, which may end within a name, in the order of their keys; without metadata."""
        folder, _, _ = prefix.rpartition("/")
        pages = iter(obstore.list(self._store, folder or None, chunk_size=_PAGE))
        while True:
            with translated(self.uri(prefix), login=self._login):
                page = next(pages, None)
            if page is None:
                return
            yield from (self._info(meta, {}) for meta in page if meta["path"].startswith(prefix))

    def delete(self, key: str) -> None:
        """Remove an object. Safe to repeat."""
        try:
            with translated(self.uri(key), login=self._login):
                obstore.delete(self._store, key)
        except NotFound:
            return

    def _compare(self, key: str, found: Any, sha256: str, size: int) -> None:
        noted = found.attributes.get(_SHA256)
        if size != found.meta["size"] or (noted is not None and noted != sha256):
            raise IntegrityError(
                "the bytes are not those that were stored",
                given=f"{self.uri(key)}: {size:,} bytes, sha256:{sha256}",
                allowed=f"{found.meta['size']:,} bytes" + (f", sha256:{noted}" if noted else ""),
            )

    def _info(self, meta: Any, metadata: dict[str, str]) -> ObjectInfo:
        return ObjectInfo(meta["path"], meta["size"], self._etag(meta), meta["last_modified"], metadata)

    def _etag(self, meta: Any) -> str:
        """What a later write may name; lists tell no version, and their etag changes with the content all the same."""
        return meta.get(self._mark) or meta.get("e_tag") or ""
