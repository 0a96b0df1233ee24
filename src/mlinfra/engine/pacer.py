"""Keeps all clients of an environment on this machine below its quotas.

Token buckets in a file that the machine's processes share. A caller reserves its place and sleeps until then, so
nobody polls and nobody starves; a throttled call pushes everybody's next place back.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mlinfra.contract.adapter import Rate
    from mlinfra.engine.clock import Clock

_SCHEMA = "CREATE TABLE IF NOT EXISTS buckets (quota TEXT PRIMARY KEY, next REAL NOT NULL)"
_SAFETY = 0.95  # stay a little below the published rate: the platform counts with its own clock


class Pacer:
    """`quotas` are the adapter's; a quota that it does not name is not paced."""

    def __init__(self, path: Path, quotas: Mapping[str, Rate], clock: Clock) -> None:
        self._path = path
        self._quotas = quotas
        self._clock = clock
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._prepare()
        except sqlite3.DatabaseError:
            path.unlink(missing_ok=True)  # a torn bucket costs a burst, nothing else
            self._prepare()

    def acquire(self, quota: str) -> float:
        """Wait for a place in the quota. Returns the seconds waited."""
        rate = self._quotas.get(quota)
        if rate is None:
            return 0.0
        interval = 1 / (rate.per_second * _SAFETY)
        wait = self._reserve(quota, interval, (rate.burst - 1) * interval)
        self._clock.sleep(wait)
        return wait

    def penalise(self, quota: str, seconds: float) -> None:
        """Nobody draws on this quota for that long; the platform asked for it."""
        if quota not in self._quotas:
            return
        with closing(self._connect()) as db, db:
            db.execute(
                "INSERT INTO buckets VALUES (?, ?) ON CONFLICT (quota) DO UPDATE SET next = max(next, excluded.next)",
                (quota, self._clock.now().timestamp() + seconds),
            )

    def _reserve(self, quota: str, interval: float, credit: float) -> float:
        """Take the next place: the generic cell rate algorithm, with the wall clock, which processes share."""
        with closing(self._connect()) as db:
            db.execute("BEGIN IMMEDIATE")
            now = self._clock.now().timestamp()
            row = db.execute("SELECT next FROM buckets WHERE quota = ?", (quota,)).fetchone()
            place = max(row[0] if row else 0.0, now - credit)
            db.execute("INSERT OR REPLACE INTO buckets VALUES (?, ?)", (quota, place + interval))
            db.execute("COMMIT")
        return max(0.0, place - now)

    def _prepare(self) -> None:
        with closing(self._connect()) as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute(_SCHEMA)

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, timeout=30, isolation_level=None)
        db.execute("PRAGMA synchronous = OFF")
        return db
