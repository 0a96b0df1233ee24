"""SQLite as the host uses it: one connection per thread, short write transactions, errors in the house's words.

Write-ahead logging lets any number of processes read while one writes. Everything is committed before a call
returns, so a process may be killed at any line.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from mlinfra.errors import CapacityUnavailable, Denied, IntegrityError, MlinfraError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUSY_SECONDS = 30.0  # how long a writer waits for another; transactions last milliseconds
_PRIMARY = 0xFF  # the part of an extended result code that names the family
_FULL_DISK = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_FSYNC}
_FAMILIES: dict[int, tuple[type[MlinfraError], str, str]] = {
    sqlite3.SQLITE_BUSY: (Unavailable, "another process holds the host's database", ""),
    sqlite3.SQLITE_LOCKED: (Unavailable, "another process holds the host's database", ""),
    sqlite3.SQLITE_CORRUPT: (IntegrityError, "the host's database is damaged", "restore the file from a backup"),
    sqlite3.SQLITE_NOTADB: (IntegrityError, "this is not the host's database", "name another folder"),
    sqlite3.SQLITE_READONLY: (Denied, "the host's database may not be written", "correct the folder's permissions"),
    sqlite3.SQLITE_CANTOPEN: (Denied, "the host's database cannot be opened", "correct the folder's permissions"),
    sqlite3.SQLITE_PERM: (Denied, "the host's database may not be opened", "correct the folder's permissions"),
}


class Database:
    """One database file. Safe to use from several threads, processes, and after a fork."""

    def __init__(self, path: Path, schema: str, version: int) -> None:
        """Open `path`, creating it with `schema` (statements separated by blank lines) where it is new.

        Raises:
            IntegrityError: the file is no database, or was written by a newer kit.
            Denied: it may not be opened.
            CapacityUnavailable: the disk is full.
        """
        self.path = path
        self._local = threading.local()
        self._guard = threading.Lock()
        self._open: list[sqlite3.Connection] = []
        with translated(path):
            self._prepare(schema, version)

    @property
    def connection(self) -> sqlite3.Connection:
        """This thread's connection, in autocommit; for single reads."""
        if getattr(self._local, "process", None) != os.getpid():
            self._local.connection = self._connect()
            self._local.process = os.getpid()
        connection: sqlite3.Connection = self._local.connection
        return connection

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A connection for reads, its errors translated."""
        with translated(self.path):
            yield self.connection

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A write transaction: what is read inside stays true until it ends. Committed unless the block raises."""
        connection = self.connection
        with translated(self.path):
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close every thread's connection. The object opens new ones when it is used again."""
        with self._guard:
            connections, self._open = self._open, []
        self._local = threading.local()
        for connection in connections:
            connection.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
        with self._guard:
            self._open.append(connection)
        return connection

    def _prepare(self, schema: str, version: int) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with suppress(FileExistsError):  # never opened but by SQLite: closing it would drop this process's locks
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        if self._version() == version:
            return
        _log_ahead(self.connection)
        with self.write() as connection:
            if self._version() == 0:
                for statement in schema.split("\n\n"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {version}")
        if self._version() != version:
            raise IntegrityError(
                "the host's folder was written by another version of the kit",
                given=f"{self.path} of version {self._version()}",
                allowed=f"version {version}",
                todo="use the kit that wrote it, or name another folder",
            )

    def _version(self) -> int:
        return int(self.connection.execute("PRAGMA user_version").fetchone()[0])


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn SQLite's operational errors into the kit's. A broken UNIQUE rule passes: its meaning is the caller's."""
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except sqlite3.DatabaseError as exc:
        error = _meaning(exc, path)
        if error is None:
            raise
        raise error from exc


def _meaning(exc: sqlite3.DatabaseError, path: Path) -> MlinfraError | None:
    code = getattr(exc, "sqlite_errorcode", 0)
    if code in _FULL_DISK:
        return CapacityUnavailable(
            "the disk is full; nothing was changed",
            given=str(path),
            todo=f"free space on the file system of {path.parent} and run the same command again",
            sent=False,
        )
    kind, what, todo = _FAMILIES.get(code & _PRIMARY, (None, "", ""))
    return kind(what, given=str(path), todo=todo) if kind else None


def _log_ahead(connection: sqlite3.Connection) -> None:
    """Switch to write-ahead logging. SQLite's own waiting does not cover this one change."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return
