"""An endpoint's counts as a client reads them."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from contextlib import closing
from math import ceil
from typing import TYPE_CHECKING, Any

from mlinfra.host.clock import seconds, stamp
from mlinfra.host.database import translated
from mlinfra.host.latency import quantile

if TYPE_CHECKING:
    from pathlib import Path


def read(path: Path, deployment: str, since: str) -> dict[str, Any]:
    """What a deployment did in the whole seconds from a moment on, until the newest that is complete.

    A second that had begun before `since` is left out. Without any complete second `as_of` is `since`.
    """
    first = ceil(seconds(since))
    until, rows = _stored(path, deployment, first) if path.is_file() else (0, [])
    latencies: Counter[int] = Counter()
    for row in rows:
        latencies.update({int(number): count for number, count in json.loads(row["latencies"]).items()})
    return {
        "requests": sum(row["requests"] for row in rows),
        "errors": sum(row["errors"] for row in rows),
        "rejected": sum(row["rejected"] for row in rows),
        "p50": quantile(latencies, 0.50),
        "p99": quantile(latencies, 0.99),
        "since": since,
        "as_of": stamp(until) if until > first else since,
    }


def _stored(path: Path, deployment: str, first: int) -> tuple[int, list[sqlite3.Row]]:
    """The end of the newest complete second, and the deployment's rows until then. Never makes the file."""
    with translated(path), closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            return 0, []  # the gateway is about to make its tables
        progress = connection.execute("SELECT complete_until FROM progress").fetchone()
        until = int(progress["complete_until"]) if progress else 0
        rows = connection.execute(
            "SELECT * FROM seconds WHERE deployment = ? AND second >= ? AND second < ?", (deployment, first, until)
        ).fetchall()
        return until, rows
