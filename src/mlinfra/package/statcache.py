"""Remembers the digest of each file beside the attributes that it had, so that an unchanged file is not read again.

An entry counts only when the file was last touched clearly before it was read: within one tick of the file system's
clock a second write leaves the same times behind (git calls such entries racily clean).
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, NamedTuple

from mlinfra.errors import SpecError
from mlinfra.package.walk import changed_meanwhile

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from mlinfra.package.walk import File

__all__ = ["changed_meanwhile", "sha256_of_each"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS root (id INTEGER PRIMARY KEY, place TEXT NOT NULL UNIQUE, used REAL NOT NULL);
CREATE TABLE IF NOT EXISTS file (
    root INTEGER NOT NULL, path TEXT NOT NULL, size INTEGER, mtime INTEGER, ctime INTEGER, inode INTEGER,
    checked INTEGER NOT NULL, sha256 BLOB NOT NULL, PRIMARY KEY (root, path)
) WITHOUT ROWID;
"""
_FINE_TICK = 20_000_000  # ns: twice the slowest timer of the kernels whose file times have fractions
_COARSE_TICK = 2_000_000_000  # ns: the step of FAT, the coarsest file times still met
_DAY = 86_400.0  # s
_KEPT = 60 * _DAY  # a root that nobody asked about for so long is forgotten


class _Entry(NamedTuple):
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    checked_ns: int  # when the file was read, by the clock of this machine
    sha256: bytes


def sha256_of_each(files: Sequence[File], root: str, cache: Path | None) -> list[bytes]:
    """The SHA-256 of every file's bytes, in the order of `files`; reads only what changed since the last call.

    `root` is the place that the paths start from. Without a cache folder every file is read; a cache that cannot be
    read or written costs time and nothing else. Raises Conflict when a file changes while it is read.
    """
    if cache is None:
        return [_read(file).sha256 for file in files]
    known = _load(cache, root)
    entries: list[_Entry] = []
    changed: list[tuple[str, _Entry]] = []
    for file in files:
        entry = known.pop(file.path, None)
        if entry is None or not _holds(entry, file):
            entry = _read(file)
            changed.append((file.path, entry))
        entries.append(entry)
    _save(cache, root, changed, gone=known)
    return [entry.sha256 for entry in entries]


def _holds(entry: _Entry, file: File) -> bool:
    same = entry[:4] == (file.size, file.mtime_ns, file.ctime_ns, file.inode)
    tick = _COARSE_TICK if file.ctime_ns % 1_000_000 == 0 else _FINE_TICK
    return same and max(file.mtime_ns, file.ctime_ns) + tick < entry.checked_ns


def _read(file: File) -> _Entry:
    started = time.time_ns()
    try:
        with open(file.source, "rb") as stream:  # noqa: PTH123  for ten thousand files, Path objects are felt
            sha256 = hashlib.file_digest(stream, "sha256").digest()
            about = os.fstat(stream.fileno())
    except PermissionError as exc:
        raise SpecError("a file cannot be read", given=file.source, todo="allow reading it, or leave it out") from exc
    except FileNotFoundError as exc:
        raise changed_meanwhile(file.source) from exc
    if (about.st_size, about.st_mtime_ns, about.st_ino) != (file.size, file.mtime_ns, file.inode):
        raise changed_meanwhile(file.source)
    return _Entry(file.size, file.mtime_ns, file.ctime_ns, file.inode, started, sha256)


def _load(cache: Path, root: str) -> dict[str, _Entry]:
    with suppress(sqlite3.Error, OSError), closing(_connect(cache)) as database:
        rows = database.execute(
            "SELECT path, size, mtime, ctime, inode, checked, sha256 FROM file"
            " WHERE root = (SELECT id FROM root WHERE place = ?)",
            (root,),
        )
        return {row[0]: _Entry._make(row[1:]) for row in rows}
    return {}


def _save(cache: Path, root: str, changed: Sequence[tuple[str, _Entry]], gone: Collection[str]) -> None:
    now = time.time()
    with suppress(sqlite3.Error, OSError), closing(_connect(cache)) as database, database:
        row = database.execute("SELECT id, used FROM root WHERE place = ?", (root,)).fetchone()
        if row and not changed and not gone and now - row[1] < _DAY:
            return
        number = row[0] if row else _add_root(database, root)
        database.execute("UPDATE root SET used = ? WHERE id = ?", (now, number))
        database.executemany("DELETE FROM file WHERE root = ? AND path = ?", [(number, path) for path in gone])
        database.executemany(
            "INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [(number, path, *entry) for path, entry in changed],
        )
        database.execute("DELETE FROM root WHERE used < ?", (now - _KEPT,))
        database.execute("DELETE FROM file WHERE root NOT IN (SELECT id FROM root)")


def _add_root(database: sqlite3.Connection, root: str) -> int:
    database.execute("INSERT OR IGNORE INTO root (place, used) VALUES (?, ?)", (root, time.time()))
    return int(database.execute("SELECT id FROM root WHERE place = ?", (root,)).fetchone()[0])


def _connect(cache: Path) -> sqlite3.Connection:
    cache.mkdir(parents=True, exist_ok=True)
    place = cache / "digests.sqlite"
    try:
        return _open(place)
    except sqlite3.DatabaseError as exc:
        if isinstance(exc, sqlite3.OperationalError):  # locked, or no room: the file itself is sound
            raise
        place.unlink()  # not a database any more; all it held can be read again
        return _open(place)


def _open(place: Path) -> sqlite3.Connection:
    database = sqlite3.connect(place, timeout=30)
    try:
        database.execute("PRAGMA synchronous = OFF")  # a lost entry is one file read again
        database.executescript(_SCHEMA)
    except sqlite3.Error:
        database.close()
        raise
    return database
