"""The object store: content in files by key, everything else about an object in a table.

A write is decided by one transaction: before it the new content waits in a staging file, after it the file is moved
to its place. Whoever writes next finishes what a killed process left between the two, and a reader looks in both
places, so an object is always the old one or the new one.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, BinaryIO
from uuid import uuid4

from mlinfra.errors import CapacityUnavailable, Conflict, NotFound, UsageError
from mlinfra.host import tokens
from mlinfra.host.clock import stamp
from mlinfra.host.contents import CHUNK, corrupted, stage, verified
from mlinfra.host.keys import check_bucket, check_key
from mlinfra.host.paging import LARGEST_PAGE
from mlinfra.package.atomic import new_file, room_for

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping
    from pathlib import Path

    from mlinfra.host.database import Database
    from mlinfra.host.layout import Layout

_STORED, _STAGED, _DOOMED = "stored", "staged", "doomed"
_UNFINISHED = "SELECT * FROM objects WHERE state != 'stored' AND bucket = ?"  # the condition of the partial index
_ANY_UNFINISHED = "SELECT 1 FROM objects WHERE state != 'stored' LIMIT 1"
_STALE_SECONDS = 86_400.0  # a staging file untouched for so long belongs to no living process
_PAST_ALL = "\U0010ffff"  # sorts behind every key that begins alike


@dataclass(frozen=True)
class ObjectInfo:
    """What is known of an object without reading it. `etag` is new with every write; `size` is in bytes."""

    key: str
    size: int
    etag: str
    sha256: str
    modified: datetime
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class ObjectPage:
    """One page of a listing, in the order of keys. `next_token` asks for the next, None at the end."""

    objects: tuple[ObjectInfo, ...]
    next_token: str | None = None


class ObjectStore:
    """One bucket. Safe from several threads and processes at once; every call blocks until it is done."""

    def __init__(self, database: Database, layout: Layout, bucket: str) -> None:
        """Name a bucket, which comes into being with its first object.

        Raises:
            UsageError: it is not a bucket's name.
        """
        self.bucket = check_bucket(bucket)
        self._database = database
        self._staging = layout.staging
        self._folder = layout.bucket(bucket)

    def put(
        self,
        key: str,
        content: bytes | Path | BinaryIO,
        *,
        if_absent: bool = False,
        if_match: str | None = None,
        metadata: Mapping[str, str] | None = None,
        consume: bool = False,
    ) -> ObjectInfo:
        """Write an object whole or not at all, streamed. Safe to repeat without conditions.

        `if_absent` writes only where nothing is, `if_match` only over that etag; of several writers at once one
        wins. With `consume` a file's own bytes become the object, where the file system allows, and the file is gone.

        Raises:
            Conflict: the condition does not hold, or another key lies across this one.
            CapacityUnavailable: the disk is full; what was there before is as it was.
            UsageError: it is not an object's key.
        """
        target = self._path(check_key(key))
        self._sweep()
        staged = self._staging / uuid4().hex
        try:
            with room_for(target):
                size, digest = stage(content, staged, consume=consume)
            with self._database.write() as connection:
                self._finish_all(connection)
                self._check(connection, key, if_absent=if_absent, if_match=if_match)
                row = (
                    self.bucket,
                    key,
                    _STAGED,
                    staged.name,
                    size,
                    digest,
                    uuid4().hex,
                    stamp(),
                    json.dumps(dict(metadata or {})),
                )
                connection.execute("REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
                written = self._row(connection, key)
        except BaseException:
            staged.unlink(missing_ok=True)
            raise
        with suppress(CapacityUnavailable):  # it is decided, and the next writer finishes it
            self._settle()
        return _info(written)

    def get(self, key: str) -> bytes:
        """The whole content; for small objects.

        Raises:
            NotFound: there is no such object.
            IntegrityError: the bytes are not those that were stored.
        """
        with self.open(key) as file:
            return file.read()

    def open(self, key: str) -> BinaryIO:
        """The content as a stream, which raises IntegrityError at its end if the bytes are not those stored.

        Raises:
            NotFound: there is no such object.
            IntegrityError: the content is gone, or is of another size.
        """
        info, file = self._opened(check_key(key))
        if os.fstat(file.fileno()).st_size != info.size:
            file.close()
            raise corrupted(f"{self.bucket}/{key}")
        return verified(file, info.sha256, f"{self.bucket}/{key}")

    def download(self, key: str, target: Path) -> None:
        """Stream an object into a file, which appears whole or not at all.

        Raises:
            NotFound: there is no such object.
            IntegrityError: the bytes are not those that were stored.
            CapacityUnavailable: the disk is full.
        """
        with self.open(key) as source, new_file(target) as file:
            shutil.copyfileobj(source, file, CHUNK)

    def head(self, key: str) -> ObjectInfo | None:
        """What is known of an object, None where there is none."""
        with self._database.read() as connection:
            row = self._row(connection, check_key(key))
        return _info(row) if row else None

    def list(self, prefix: str = "", *, page_size: int = LARGEST_PAGE, page_token: str | None = None) -> ObjectPage:
        """A page of the objects whose keys begin so, in the order of their keys.

        Raises:
            UsageError: the token was not made here, or the page is too large.
        """
        if not 0 < page_size <= LARGEST_PAGE:
            raise UsageError("not a page's size", given=page_size, allowed=f"1 to {LARGEST_PAGE}")
        after = tokens.decode(page_token) if page_token else ""
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT * FROM objects WHERE bucket = ? AND key >= ? AND key < ? AND key > ? AND state != ? "
                "ORDER BY key LIMIT ?",
                (self.bucket, prefix, prefix + _PAST_ALL, after, _DOOMED, page_size + 1),
            ).fetchall()
        token = tokens.encode(rows[page_size - 1]["key"]) if len(rows) > page_size else None
        return ObjectPage(tuple(_info(row) for row in rows[:page_size]), token)

    def delete(self, key: str, *, if_match: str | None = None) -> None:
        """Remove an object and its bytes. Safe to repeat.

        Raises:
            Conflict: the object is not the one of that etag.
        """
        with self._database.write() as connection:
            self._finish_all(connection)
            if if_match is not None:
                self._check(connection, check_key(key), if_absent=False, if_match=if_match)
            connection.execute(
                "UPDATE objects SET state = ? WHERE bucket = ? AND key = ?", (_DOOMED, self.bucket, check_key(key))
            )
        self._settle()

    def copy(
        self,
        source: str,
        target: str,
        *,
        to: ObjectStore | None = None,
        if_absent: bool = False,
        if_match: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> ObjectInfo:
        """Copy an object, verified on the way, with its metadata unless others are given. Conditions as in `put`.

        Raises:
            NotFound: there is no such object.
            IntegrityError: the source's bytes are not those that were stored.
            Conflict: the condition does not hold.
        """
        info = self.head(source)
        words = metadata if metadata is not None or info is None else info.metadata
        with self.open(source) as content:
            return (to or self).put(target, content, if_absent=if_absent, if_match=if_match, metadata=words)

    def adopt(self, folder: Path, prefix: str) -> tuple[ObjectInfo, ...]:
        """Move every file below a folder into the bucket, its path behind the prefix. Safe to repeat.

        Raises:
            UsageError: a file's name is no part of a key.
            CapacityUnavailable: the disk is full; what was moved stays moved.
        """
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        keys = [
            check_key("/".join(filter(None, (prefix.strip("/"), path.relative_to(folder).as_posix()))))
            for path in files
        ]
        return tuple(self.put(key, path, consume=not path.is_symlink()) for key, path in zip(keys, files, strict=True))

    def path(self, key: str) -> Path:
        """Where an object's bytes lie, to be read in place and not verified; also for a prefix, as a folder."""
        self._settle()
        return self._path(check_key(key))

    def _path(self, key: str) -> Path:
        return self._folder / key

    def _row(self, connection: sqlite3.Connection, key: str) -> sqlite3.Row | None:
        row: sqlite3.Row | None = connection.execute(
            "SELECT * FROM objects WHERE bucket = ? AND key = ? AND state != ?", (self.bucket, key, _DOOMED)
        ).fetchone()
        return row

    def _check(self, connection: sqlite3.Connection, key: str, *, if_absent: bool, if_match: str | None) -> None:
        """Whether the conditions of a write hold, inside its transaction."""
        row = self._row(connection, key)
        if if_absent and row:
            raise Conflict("there is an object of that key", given=f"{self.bucket}/{key}")
        if if_match is not None and (row is None or row["etag"] != if_match):
            raise Conflict(
                "the object has been written by somebody else",
                given=f"{self.bucket}/{key}, etag {if_match}",
                allowed=f"etag {row['etag']}" if row else "there is no such object",
                todo="read it again, and decide again",
            )
        if row is None:
            self._check_across(connection, key)

    def _check_across(self, connection: sqlite3.Connection, key: str) -> None:
        """Keys are paths here: `a` and `a/b` cannot both be."""
        parts = key.split("/")
        outer = ["/".join(parts[:length]) for length in range(1, len(parts))]
        inner = connection.execute(
            "SELECT key FROM objects WHERE bucket = ? AND key > ? AND key < ? LIMIT 1",
            (self.bucket, f"{key}/", f"{key}/{_PAST_ALL}"),
        ).fetchone()
        across = inner["key"] if inner else next((other for other in outer if self._row(connection, other)), None)
        if across:
            raise Conflict(
                "this store keeps objects as files, and a key cannot lie below another",
                given=key,
                allowed=f"anything that is not across {across}",
                todo="choose another key",
            )

    def _settle(self) -> None:
        """Finish what has been decided; a no-op where another process was quicker."""
        with self._database.read() as connection:
            if not connection.execute(_ANY_UNFINISHED).fetchone():
                return
        with self._database.write() as connection:
            self._finish_all(connection)

    def _finish_all(self, connection: sqlite3.Connection) -> None:
        unfinished = connection.execute(_UNFINISHED, (self.bucket,)).fetchall()
        for row in unfinished:
            if row["state"] == _DOOMED:
                self._remove(connection, row)
            else:
                self._place(connection, row)

    def _place(self, connection: sqlite3.Connection, row: sqlite3.Row) -> None:
        target, staged = self._path(row["key"]), self._staging / row["staged"]
        with room_for(target):
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with suppress(FileNotFoundError):  # moved by a process that did not live to say so
                staged.replace(target)
        connection.execute(
            "UPDATE objects SET state = ?, staged = '' WHERE bucket = ? AND key = ?", (_STORED, self.bucket, row["key"])
        )

    def _remove(self, connection: sqlite3.Connection, row: sqlite3.Row) -> None:
        target = self._path(row["key"])
        target.unlink(missing_ok=True)
        if row["staged"]:
            (self._staging / row["staged"]).unlink(missing_ok=True)
        for folder in target.parents:
            if folder == self._folder:
                break
            try:
                folder.rmdir()
            except OSError:
                break  # others' objects are there
        connection.execute("DELETE FROM objects WHERE bucket = ? AND key = ?", (self.bucket, row["key"]))

    def _opened(self, key: str) -> tuple[ObjectInfo, io.FileIO]:
        """An open file and what is known of it: the object is read again until both belong together."""
        while True:
            with self._database.read() as connection:
                row = self._row(connection, key)
                if row is None:
                    raise NotFound("there is no such object", given=f"{self.bucket}/{key}")
                file = self._try(row)
                again = self._row(connection, key)
            if file and again and again["etag"] == row["etag"]:
                return _info(row), file
            if file:
                file.close()
            elif again and again["etag"] == row["etag"]:
                raise corrupted(f"{self.bucket}/{key}")

    def _try(self, row: sqlite3.Row) -> io.FileIO | None:
        places = [self._staging / row["staged"]] if row["staged"] else []
        for place in (*places, self._path(row["key"])):
            with suppress(FileNotFoundError, NotADirectoryError):
                return io.FileIO(place)
        return None

    def _sweep(self) -> None:
        """Remove what killed writers left in the staging folder."""
        self._staging.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        oldest = time.time() - _STALE_SECONDS
        for path in self._staging.iterdir():
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < oldest and not self._awaited(path.name):
                    path.unlink()

    def _awaited(self, staged: str) -> bool:
        with self._database.read() as connection:
            return bool(connection.execute("SELECT 1 FROM objects WHERE staged = ?", (staged,)).fetchone())


def _info(row: sqlite3.Row | None) -> ObjectInfo:
    if row is None:
        raise NotFound("the object is gone")
    modified = datetime.fromisoformat(row["modified"])
    return ObjectInfo(row["key"], row["size"], row["etag"], row["sha256"], modified, json.loads(row["metadata"]))
