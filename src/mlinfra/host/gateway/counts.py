"""What each deployment did, counted per second on the event loop and written to disk off it."""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlinfra.errors import MlinfraError
from mlinfra.host import schema
from mlinfra.host.database import Database
from mlinfra.host.latency import bucket

if TYPE_CHECKING:
    from pathlib import Path

KEPT_SECONDS = 86_400
_PRUNE_PERIOD = 3600.0
_ERROR, _REJECTED = 500, 400


@dataclass
class _Second:
    requests: int = 0
    errors: int = 0
    rejected: int = 0
    latencies: Counter[int] = field(default_factory=Counter)


class Counts:
    """Counts of one endpoint. `note` belongs to the event loop, `flush` to the thread that writes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database: Database | None = None
        self._seconds: defaultdict[tuple[str, int], _Second] = defaultdict(_Second)
        self._pruned = 0.0

    def note(self, deployment: str, status: int, latency: float) -> None:
        """Count an answer. A time-out and a lost connection count as the 5xx that the caller was told."""
        second = self._seconds[deployment, int(time.time())]
        second.requests += 1
        second.latencies[bucket(latency)] += 1
        if status >= _ERROR:
            second.errors += 1
        elif status >= _REJECTED:
            second.rejected += 1

    def take(self, *, everything: bool = False) -> tuple[int, dict[tuple[str, int], _Second]]:
        """The seconds that are over, and the moment until which they are complete; at the end, the present one too."""
        until = int(time.time()) + everything
        over = {key: self._seconds.pop(key) for key in list(self._seconds) if key[1] < until}
        return until, over

    def flush(self, until: int, seconds: dict[tuple[str, int], _Second]) -> None:
        """Write the counts down. On a full disk they are lost, and serving goes on."""
        try:
            with self._opened().write() as connection:
                connection.executemany(
                    "REPLACE INTO seconds VALUES (?, ?, ?, ?, ?, ?)",
                    [
                        (deployment, second, it.requests, it.errors, it.rejected, json.dumps(it.latencies))
                        for (deployment, second), it in seconds.items()
                    ],
                )
                connection.execute("REPLACE INTO progress VALUES (0, ?)", (until,))
                if time.monotonic() - self._pruned > _PRUNE_PERIOD:
                    connection.execute("DELETE FROM seconds WHERE second < ?", (until - KEPT_SECONDS,))
                    self._pruned = time.monotonic()
        except MlinfraError:
            return

    def forget(self, deployment: str) -> None:
        """Remove what was counted for a deployment that is gone."""
        with self._opened().write() as connection:
            connection.execute("DELETE FROM seconds WHERE deployment = ?", (deployment,))

    def close(self) -> None:
        """Close the database."""
        if self._database:
            self._database.close()

    def _opened(self) -> Database:
        if self._database is None:
            self._database = Database(self._path, schema.METRICS, schema.VERSION)
        return self._database
