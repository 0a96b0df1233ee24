"""The write-ahead record of effects: intent first, outcome after.

The journal remembers what was about to be done; it never decides that a resource exists. Losing it loses
nothing but time, so a torn file is set aside and a new one begun.
"""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mlinfra.contract.requests import Document, Request
from mlinfra.engine.liveness import is_alive
from mlinfra.errors import CapacityUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS effects (
  id INTEGER PRIMARY KEY,
  environment TEXT NOT NULL,
  procedure TEXT NOT NULL,
  request TEXT NOT NULL,
  intended TEXT NOT NULL,
  owner INTEGER NOT NULL,
  outcome TEXT,
  settled TEXT
);
CREATE INDEX IF NOT EXISTS open_effects ON effects (environment, procedure) WHERE settled IS NULL;
CREATE INDEX IF NOT EXISTS effects_by_procedure ON effects (environment, procedure);
CREATE TABLE IF NOT EXISTS follow_ups (
  environment TEXT NOT NULL,
  job TEXT NOT NULL,
  kind TEXT NOT NULL,
  due TEXT NOT NULL,
  done TEXT,
  PRIMARY KEY (environment, job, kind)
);
"""
_KEEP_SETTLED = 10_000  # settled effects kept for people who look back


@dataclass(frozen=True)
class OpenEffect:
    """An effect whose outcome is not known. `owner` is the process that intended it."""

    id: int
    procedure: str
    request: Request
    intended: str
    owner: int

    @property
    def abandoned(self) -> bool:
        """Whether the process that intended it is gone."""
        return self.owner != os.getpid() and not is_alive(self.owner)


@dataclass(frozen=True)
class FollowUp:
    """Something due when a job has ended: `register`, `retry`. `job` is the identity's 40 digits."""

    job: str
    kind: str


class Journal:
    """One file for each project, shared by its processes and threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.set_aside: Path | None = None
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._prepare()
        except sqlite3.DatabaseError as exc:
            if "full" in str(exc) or "disk I/O" in str(exc):
                raise _no_room(path) from exc
            self.set_aside = self._move_aside()
            self._prepare()

    def intend(self, environment: str, procedure: str, request: Request) -> int:
        """Write down what is about to be sent; durable before this returns.

        Raises:
            CapacityUnavailable: the disk has no room; nothing must be sent.
        """
        row = (environment, procedure, json.dumps(request.as_document()), _now(), os.getpid())
        with self._transaction() as db:
            cursor = db.execute(
                "INSERT INTO effects (environment, procedure, request, intended, owner) VALUES (?, ?, ?, ?, ?)", row
            )
            return int(cursor.lastrowid or 0)

    def settle(self, effect: int, outcome: Document | None) -> None:
        """Write down what came of it; None where it certainly had no effect."""
        with self._transaction() as db:
            db.execute(
                "UPDATE effects SET outcome = ?, settled = ? WHERE id = ?", (json.dumps(outcome), _now(), effect)
            )
            db.execute("DELETE FROM effects WHERE settled IS NOT NULL AND id < ?", (effect - _KEEP_SETTLED,))

    def open_effects(self, environment: str, procedure: str | None = None) -> list[OpenEffect]:
        """Effects without an outcome, the oldest first."""
        query = "SELECT id, procedure, request, intended, owner FROM effects WHERE settled IS NULL AND environment = ?"
        arguments = [environment]
        if procedure is not None:
            query += " AND procedure = ?"
            arguments.append(procedure)
        with self._transaction() as db:
            rows = db.execute(query + " ORDER BY id", arguments).fetchall()
        return [
            OpenEffect(effect, name, Request.from_document(json.loads(request)), intended, owner)
            for effect, name, request, intended, owner in rows
        ]

    def knows(self, environment: str, procedure: str) -> bool:
        """Whether anything was ever intended here for a procedure."""
        query = "SELECT 1 FROM effects WHERE environment = ? AND procedure = ? LIMIT 1"
        with self._transaction() as db:
            return db.execute(query, (environment, procedure)).fetchone() is not None

    def owe(self, environment: str, job: str, kinds: list[str]) -> None:
        """Note what is due when a job has ended. Safe to repeat; what was done stays done."""
        with self._transaction() as db:
            db.executemany(
                "INSERT OR IGNORE INTO follow_ups (environment, job, kind, due) VALUES (?, ?, ?, ?)",
                [(environment, job, kind, _now()) for kind in kinds],
            )

    def follow_ups(self, environment: str, job: str | None = None) -> list[FollowUp]:
        """What is due."""
        query = "SELECT job, kind FROM follow_ups WHERE done IS NULL AND environment = ?"
        arguments = [environment]
        if job is not None:
            query += " AND job = ?"
            arguments.append(job)
        with self._transaction() as db:
            return [FollowUp(*row) for row in db.execute(query + " ORDER BY due", arguments)]

    def followed_up(self, environment: str, follow_up: FollowUp) -> None:
        """Note that it was done."""
        with self._transaction() as db:
            db.execute(
                "UPDATE follow_ups SET done = ? WHERE environment = ? AND job = ? AND kind = ?",
                (_now(), environment, follow_up.job, follow_up.kind),
            )

    def _prepare(self) -> None:
        with self._transaction() as db:
            db.execute("PRAGMA journal_mode = WAL")
            if db.execute("PRAGMA quick_check").fetchone() != ("ok",):
                raise sqlite3.DatabaseError("malformed")
            db.executescript(_SCHEMA)

    def _move_aside(self) -> Path:
        target = self._path.with_name(f"{self._path.name}.torn-{datetime.now(UTC):%Y%m%dT%H%M%S}")
        self._path.replace(target)
        for leftover in ("-wal", "-shm"):
            self._path.with_name(self._path.name + leftover).unlink(missing_ok=True)
        return target

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """A connection of its own: cheap beside any call of a platform, and safe from every thread."""
        db = sqlite3.connect(self._path, timeout=30)
        try:
            db.execute("PRAGMA synchronous = FULL")
            with db:
                yield db
        except sqlite3.OperationalError as exc:
            if "full" in str(exc) or "disk I/O" in str(exc):
                raise _no_room(self._path) from exc
            raise
        finally:
            db.close()


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _no_room(path: Path) -> CapacityUnavailable:
    return CapacityUnavailable(
        "the journal cannot be written; nothing was sent", given=str(path), todo="make room on the disk and run again"
    )
