"""The table of jobs: who may run, who is running, and what happens when a supervisor is found dead.

There is no server. Supervisors wait their turn by looking here; whoever reads the table repairs what it finds
broken and starts the supervisors that are missing.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from mlinfra.contract.states import JobState
from mlinfra.errors import NotFound
from mlinfra.host import processes
from mlinfra.host.clock import stamp
from mlinfra.host.commands import module_environment
from mlinfra.host.plan import JobPlan

if TYPE_CHECKING:
    import sqlite3

    from mlinfra.host.database import Database
    from mlinfra.host.layout import Layout

BUSY = (JobState.STARTING, JobState.RUNNING, JobState.STOPPING)  # these hold a slot
ENDED = tuple(state for state in JobState if state.terminal)
_BUSY_SQL = ", ".join(f"'{state}'" for state in BUSY)
_SPAWN_PATIENCE = 5.0  # seconds in which a spawned supervisor is expected to claim its job
_SPAWNS = 3  # attempts to start a supervisor that never claims its job
_LOST = "the supervisor ended without a word"
_LONGEST_REASON = 4096


class JobTable:
    """Reads and writes of the jobs' rows. Every method is one transaction or less, and safe to repeat."""

    def __init__(self, database: Database, layout: Layout) -> None:
        self._database = database
        self._layout = layout

    def row(self, name: str) -> sqlite3.Row:
        """The job's row.

        Raises:
            NotFound: there is no such job.
        """
        with self._database.read() as connection:
            return self.find(connection, name)

    def find(self, connection: sqlite3.Connection, name: str) -> sqlite3.Row:
        """The job's row, inside a transaction.

        Raises:
            NotFound: there is no such job.
        """
        row: sqlite3.Row | None = connection.execute("SELECT * FROM jobs WHERE name = ?", (name,)).fetchone()
        if row is None:
            raise NotFound("there is no job of that name on this host", given=name)
        return row

    def claim(self, name: str) -> JobPlan | None:
        """Make this process the job's supervisor. None where another is, or where nothing is left to do."""
        with self._database.write() as connection:
            row = self.find(connection, name)
            if row["state"] != JobState.QUEUED or processes.is_alive(row["pid"], row["process"]):
                return None
            connection.execute(
                "UPDATE jobs SET pid = ?, process = ?, spawns = 0 WHERE name = ?",
                (os.getpid(), processes.mark(os.getpid()), name),
            )
        return JobPlan.from_document(json.loads(row["plan"]))

    def start(self, name: str) -> bool | None:
        """Take a slot. False while others are before it, None when the job is no longer queued."""
        with self._database.read() as connection:
            if self.find(connection, name)["state"] == JobState.QUEUED and not self._has_turn(connection, name):
                return False
        with self._database.write() as connection:
            row = self.find(connection, name)
            if row["state"] != JobState.QUEUED:
                return None
            if not self._has_turn(connection, name):
                return False
            self.move(connection, row, JobState.STARTING, attempt=row["attempt"] + 1)
            return True

    def move(
        self, connection: sqlite3.Connection, row: sqlite3.Row, state: JobState, detail: str = "", **columns: Any
    ) -> None:
        """Change a job's state inside a transaction, with what else changes, and write the transition down."""
        now = stamp()
        if state is JobState.RUNNING and not row["started"]:
            columns["started"] = now
        if state.terminal:
            columns["ended"] = now
        columns.update(state=str(state), detail=detail, updated=now)
        assignments = ", ".join(f"{column} = ?" for column in columns)
        connection.execute(
            f"UPDATE jobs SET {assignments} WHERE seq = ?",  # noqa: S608  our own column names
            (*columns.values(), row["seq"]),
        )
        connection.execute("INSERT INTO transitions VALUES (?, ?, ?, ?)", (row["seq"], now, str(state), detail))

    def tell(self, name: str, state: JobState, detail: str = "", **columns: Any) -> None:
        """`move` in a transaction of its own. An ended job stays as it is, and a stopping one can only end."""
        with self._database.write() as connection:
            row = self.find(connection, name)
            ended, stopping = row["state"] in ENDED, row["state"] == JobState.STOPPING
            if not ended and not (stopping and not state.terminal):
                self.move(connection, row, state, detail, **columns)

    def repair(self) -> None:
        """Settle the jobs whose supervisor is dead, and start the supervisors that are missing."""
        with self._database.read() as connection:
            busy = connection.execute(f"SELECT * FROM jobs WHERE state IN ({_BUSY_SQL})").fetchall()  # noqa: S608  constant
        for row in busy:
            if not processes.is_alive(row["pid"], row["process"]):
                self._settle(row)
        self.kick()

    def kick(self) -> None:
        """Start supervisors for the jobs whose turn is next: one per free slot, and one that waits."""
        with self._database.read() as connection:
            if not self._missing(connection):
                return
        with self._database.write() as connection:
            missing = self._missing(connection)
            for row in missing:
                connection.execute(
                    "UPDATE jobs SET process = NULL, spawned = ?, spawns = spawns + 1 WHERE seq = ?",
                    (time.time(), row["seq"]),
                )
                if row["spawns"] >= _SPAWNS:
                    self.move(
                        connection, row, JobState.FAILED, reason=self._why(row["name"], "no supervisor would start")
                    )
        for row in missing:
            if row["spawns"] < _SPAWNS:
                self._spawn(row["name"])

    def _missing(self, connection: sqlite3.Connection) -> list[sqlite3.Row]:
        ahead = connection.execute(
            "SELECT * FROM jobs WHERE state = ? ORDER BY seq LIMIT ?", (JobState.QUEUED, self._free(connection) + 1)
        ).fetchall()
        awaited = time.time() - _SPAWN_PATIENCE
        return [
            row for row in ahead if not (_is_coming(row, awaited) or processes.is_alive(row["pid"], row["process"]))
        ]

    def _has_turn(self, connection: sqlite3.Connection, name: str) -> bool:
        (before,) = connection.execute(
            "SELECT count(*) FROM jobs WHERE state = ? AND seq < (SELECT seq FROM jobs WHERE name = ?)",
            (JobState.QUEUED, name),
        ).fetchone()
        return bool(before < self._free(connection))

    def _free(self, connection: sqlite3.Connection) -> int:
        (busy,) = connection.execute(f"SELECT count(*) FROM jobs WHERE state IN ({_BUSY_SQL})").fetchone()  # noqa: S608  constant
        return max(0, slots(connection) - int(busy))

    def _settle(self, row: sqlite3.Row) -> None:
        """A dead supervisor's job: nothing of it may go on, and it failed or is tried again."""
        work = str(self._layout.job(row["name"]))
        processes.exterminate(work)
        plan = JobPlan.from_document(json.loads(row["plan"]))
        with self._database.write() as connection:
            current = self.find(connection, row["name"])
            if current["state"] not in BUSY or current["process"] != row["process"]:
                return  # somebody else was quicker
            failures = current["infrastructure_failures"] + 1
            reason = self._why(row["name"], _LOST)
            if current["stop_requested"]:
                self.move(connection, current, JobState.STOPPED, reason=reason)
            elif failures <= plan.infrastructure_retries:
                self.move(
                    connection,
                    current,
                    JobState.QUEUED,
                    reason,
                    infrastructure_failures=failures,
                    spawned=0.0,
                    process=None,
                )
            else:
                self.move(connection, current, JobState.FAILED, reason=reason, infrastructure_failures=failures)

    def _spawn(self, name: str) -> None:
        processes.spawn_detached(
            [sys.executable, "-S", "-m", "mlinfra.host.supervisor", str(self._layout.root), name],
            work=str(self._layout.job(name)),
            output=self._layout.job(name) / "supervisor.err",
            environment=module_environment(),
        )

    def _why(self, name: str, what: str) -> str:
        """The failure with the supervisor's last words, if it had any."""
        path = self._layout.job(name) / "supervisor.err"
        words = path.read_text(errors="replace").strip() if path.is_file() else ""
        return f"{what}: {words[-_LONGEST_REASON:]}" if words else what


def _is_coming(row: sqlite3.Row, awaited: float) -> bool:
    """Whether a supervisor was spawned that may still claim the job."""
    return row["process"] is None and row["spawned"] > awaited


def slots(connection: sqlite3.Connection) -> int:
    """How many jobs may run at once."""
    row = connection.execute("SELECT value FROM settings WHERE key = 'slots'").fetchone()
    return int(row["value"]) if row else os.cpu_count() or 1
