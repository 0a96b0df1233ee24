"""The tables of endpoints and deployments, as clients and gateways share them.

A client writes down what is wanted, the endpoint's gateway makes it so and writes down what is. A gateway that died
is started again by whoever reads.
"""

from __future__ import annotations

import os
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from mlinfra.errors import NotFound
from mlinfra.host import processes, tags, trash
from mlinfra.host.clock import stamp
from mlinfra.host.commands import module, module_environment

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from mlinfra.host.database import Database
    from mlinfra.host.layout import Layout

_SPAWN_PATIENCE = 5.0  # seconds in which a spawned gateway is expected to claim its endpoint
_SPAWNS = 3  # attempts to start a gateway that never claims its endpoint
_LONGEST_REASON = 4096


class State(StrEnum):
    """Where an endpoint or a deployment stands: the contract's words, and the end of an endpoint's time to live."""

    CREATING = "creating"
    READY = "ready"
    UPDATING = "updating"
    FAILED = "failed"
    DELETING = "deleting"
    EXPIRED = "expired"


_ATTENDED = (State.CREATING, State.READY, State.DELETING)  # a gateway is at work on these
_ATTENDED_SQL = ", ".join(f"'{state}'" for state in _ATTENDED)


class EndpointTable:
    """Reads and writes of the rows. Every method is one transaction or less, and safe to repeat."""

    def __init__(self, database: Database, layout: Layout) -> None:
        self._database = database
        self._layout = layout

    def find(self, connection: sqlite3.Connection, name: str) -> sqlite3.Row:
        """The endpoint's row.

        Raises:
            NotFound: there is no such endpoint.
        """
        row: sqlite3.Row | None = connection.execute("SELECT * FROM endpoints WHERE name = ?", (name,)).fetchone()
        if row is None:
            raise NotFound("there is no endpoint of that name on this host", given=name)
        return row

    def find_deployment(self, connection: sqlite3.Connection, endpoint: str, name: str) -> sqlite3.Row:
        """The deployment's row.

        Raises:
            NotFound: there is no such endpoint, or no such deployment behind it.
        """
        self.find(connection, endpoint)
        row: sqlite3.Row | None = connection.execute(
            "SELECT * FROM deployments WHERE endpoint = ? AND name = ?", (endpoint, name)
        ).fetchone()
        if row is None:
            raise NotFound("there is no deployment of that name behind the endpoint", given=f"{endpoint}/{name}")
        return row

    def deployments(self, connection: sqlite3.Connection, endpoint: str) -> list[sqlite3.Row]:
        """The endpoint's deployments, oldest first."""
        return connection.execute("SELECT * FROM deployments WHERE endpoint = ? ORDER BY seq", (endpoint,)).fetchall()

    def set(self, connection: sqlite3.Connection, endpoint: str, **columns: Any) -> None:
        """Change columns of an endpoint."""
        _set(connection, "endpoints", columns, "name = ?", (endpoint,))

    def set_deployment(self, connection: sqlite3.Connection, endpoint: str, name: str, **columns: Any) -> None:
        """Change columns of a deployment."""
        _set(connection, "deployments", columns, "endpoint = ? AND name = ?", (endpoint, name))

    def claim(self, name: str) -> bool:
        """Make this process the endpoint's gateway; False where another is, or where none is needed."""
        with self._database.write() as connection:
            row = connection.execute("SELECT * FROM endpoints WHERE name = ?", (name,)).fetchone()
            if row is None or row["state"] not in _ATTENDED or processes.is_alive(row["pid"], row["process"]):
                return False
            own = os.getpid()
            self.set(connection, name, pid=own, process=processes.mark(own))
        return True

    def version(self) -> int:
        """Changes whenever another connection has written anything; a look at shared memory."""
        with self._database.read() as connection:
            return int(connection.execute("PRAGMA data_version").fetchone()[0])

    def snapshot(self, name: str) -> tuple[sqlite3.Row, list[sqlite3.Row]] | None:
        """The endpoint and its deployments as they are wanted, None where the endpoint is gone."""
        with self._database.read() as connection:
            row = connection.execute("SELECT * FROM endpoints WHERE name = ?", (name,)).fetchone()
            return (row, self.deployments(connection, name)) if row else None

    def report(self, name: str, endpoint: Mapping[str, Any], deployments: Mapping[str, Mapping[str, Any]]) -> None:
        """Write down what a gateway has to tell. What is being deleted stays so."""
        with self._database.write() as connection:
            if endpoint:
                _set(connection, "endpoints", endpoint, f"name = ? AND state != '{State.DELETING}'", (name,))
            for deployment, columns in deployments.items():
                _set(
                    connection,
                    "deployments",
                    columns,
                    f"endpoint = ? AND name = ? AND state != '{State.DELETING}'",
                    (name, deployment),
                )

    def drop_deployment(self, endpoint: str, name: str) -> None:
        """Remove a deployment that has ended."""
        with self._database.write() as connection:
            connection.execute("DELETE FROM deployments WHERE endpoint = ? AND name = ?", (endpoint, name))
            tags.drop(connection, tags.DEPLOYMENT, f"{endpoint}/{name}")

    def drop(self, name: str) -> None:
        """Remove an endpoint that has ended, with its folder."""
        with self._database.write() as connection:
            for row in self.deployments(connection, name):
                tags.drop(connection, tags.DEPLOYMENT, f"{name}/{row['name']}")
            connection.execute("DELETE FROM deployments WHERE endpoint = ?", (name,))
            connection.execute("DELETE FROM endpoints WHERE name = ?", (name,))
            tags.drop(connection, tags.ENDPOINT, name)
            trash.take(self._layout, self._layout.endpoint(name))
        trash.empty(self._layout)

    def expire(self, name: str) -> None:
        """Write down that an endpoint's time to live has ended, and that nothing of it runs."""
        with self._database.write() as connection:
            row = self.find(connection, name)
            reason = f"its time to live ended at {row['expires']}"
            self.set(connection, name, state=State.EXPIRED, reason=reason)
            for deployment in self.deployments(connection, name):
                self.set_deployment(
                    connection, name, deployment["name"], state=State.EXPIRED, reason=reason, ready_replicas=0
                )

    def repair(self) -> None:
        """Attend to the endpoints whose gateway is dead."""
        with self._database.read() as connection:
            rows = connection.execute(f"SELECT * FROM endpoints WHERE state IN ({_ATTENDED_SQL})").fetchall()  # noqa: S608  constant
        for row in rows:
            if not processes.is_alive(row["pid"], row["process"]):
                self._attend(row)

    def _attend(self, row: sqlite3.Row) -> None:
        name = row["name"]
        if row["process"] is None and row["spawned"] > time.time() - _SPAWN_PATIENCE:
            return  # one is on its way
        if row["state"] == State.DELETING:
            processes.exterminate(str(self._layout.endpoint(name)))
            self.drop(name)
        elif row["expires"] and row["expires"] <= stamp():
            processes.exterminate(str(self._layout.endpoint(name)))
            self.expire(name)
        elif self._take_turn(row):
            self._spawn(name)

    def _take_turn(self, row: sqlite3.Row) -> bool:
        """Whether it is for this process to start the gateway; after several in vain the endpoint has failed."""
        with self._database.write() as connection:
            current = self.find(connection, row["name"])
            if (current["process"], current["spawned"]) != (row["process"], row["spawned"]):
                return False  # somebody else was quicker
            if current["spawns"] >= _SPAWNS:
                self.set(connection, row["name"], state=State.FAILED, reason=self._why(row["name"]))
                return False
            again = 1 if current["process"] else 0
            self.set(
                connection,
                row["name"],
                process=None,
                spawned=time.time(),
                spawns=current["spawns"] + 1,
                restarts=current["restarts"] + again,
            )
            self._begin_again(connection, current)
            return True

    def _begin_again(self, connection: sqlite3.Connection, row: sqlite3.Row) -> None:
        """Say of nothing that it is ready before the new gateway says so."""
        if row["state"] == State.READY:
            self.set(connection, row["name"], state=State.CREATING)
        connection.execute(
            "UPDATE deployments SET state = ?, ready_replicas = 0, updated = ? WHERE endpoint = ? AND state IN (?, ?)",
            (State.CREATING, stamp(), row["name"], State.READY, State.UPDATING),
        )

    def _spawn(self, name: str) -> None:
        folder = self._layout.endpoint(name)
        processes.spawn_detached(
            module("mlinfra.host.gateway", str(self._layout.root), name),
            work=str(folder),
            output=folder / "gateway.err",
            environment=module_environment(),
        )

    def _why(self, name: str) -> str:
        path = self._layout.endpoint(name) / "gateway.err"
        words = path.read_text(errors="replace").strip() if path.is_file() else ""
        return f"no gateway would start: {words[-_LONGEST_REASON:]}"


def _set(
    connection: sqlite3.Connection, table: str, columns: Mapping[str, Any], where: str, values: tuple[str, ...]
) -> None:
    changes = {**columns, "updated": stamp()}
    assignments = ", ".join(f"{column} = ?" for column in changes)
    connection.execute(
        f"UPDATE {table} SET {assignments} WHERE {where}",  # noqa: S608  our own words, values apart
        (*changes.values(), *values),
    )
