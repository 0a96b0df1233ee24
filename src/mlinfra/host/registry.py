"""The model registry: numbered, immutable versions, and the marks on them with their history.

A version's number is given once and never again, even after the model was deleted. The registry knows where a
package lies and what its manifest says; it never opens it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mlinfra.errors import Conflict, NotFound
from mlinfra.host import tags
from mlinfra.host.clock import stamp
from mlinfra.host.paging import Query

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence

    from mlinfra.host import bodies
    from mlinfra.host.database import Database

_REGISTERED = ("digest", "artifact", "manifest", "lineage", "metrics", "tags", "stage", "approval_status")
_TOLD = ("model", "version", "digest", "stage", "approval_status", "owner", "created", "updated")
_KEPT = ("artifact", "manifest", "lineage", "metrics")  # of the registration, told as it was given


class Registry:
    """CreateModelVersion, DescribeModelVersion, ListModels, ListModelVersions, UpdateModelVersion, deletions."""

    def __init__(self, database: Database, principal: str) -> None:
        self._database = database
        self._principal = principal

    def create(self, body: bodies.CreateModelVersion) -> dict[str, Any]:
        """Register a version under the model's next number, making the model where it is new.

        Safe to repeat: the very same registration again is answered with the version that it made.

        Raises:
            Conflict: the model has a version of that digest, registered in other words; names it.
        """
        registration = json.dumps(body.model_dump(include=set(_REGISTERED)))
        with self._database.write() as connection:
            present = connection.execute(
                "SELECT * FROM versions WHERE model = ? AND digest = ?", (body.model, body.digest)
            ).fetchone()
            if present is None:
                self._insert(connection, body, registration)
            elif present["registration"] != registration:
                raise Conflict(
                    "the model has a version of that digest already",
                    given=body.digest,
                    allowed="one version of each digest in a model",
                    todo=f"use {body.model}:{present['version']}",
                )
            row = self._find(connection, body.model, "digest", body.digest)
            return self._documents(connection, [row])[0]

    def describe(self, body: bodies.ModelVersion) -> dict[str, Any]:
        """All that is known of a version, with the history of its marks, oldest first.

        Raises:
            NotFound: there is no such version.
        """
        with self._database.read() as connection:
            row = self._named(connection, body)
            history = connection.execute(
                "SELECT at, principal, mark, old, new FROM history WHERE model = ? AND version = ? ORDER BY seq",
                (row["model"], row["version"]),
            ).fetchall()
            return {**self._documents(connection, [row])[0], "history": [dict(entry) for entry in history]}

    def list_models(self, body: bodies.ListModels) -> dict[str, Any]:
        """A page of models, newest first, each with its newest version's number and the count of its versions."""
        with self._database.read() as connection:
            rows, token = Query("models").page(connection, body.page_size, body.page_token)
            return {"models": [_model(connection, row) for row in rows], "next_token": token}

    def list_versions(self, body: bodies.ListModelVersions) -> dict[str, Any]:
        """A page of a model's versions, newest first, without their histories.

        Raises:
            NotFound: there is no such model.
        """
        query = Query("versions")
        query.where("model = ?", body.model)
        query.one_of("stage", body.stages)
        query.one_of("approval_status", body.approval_statuses)
        query.one_of("digest", [body.digest] if body.digest else [])
        query.tagged(tags.VERSION, "model || ':' || version", body.tags)
        if body.updated_after:
            query.where("updated > ?", body.updated_after)
        with self._database.read() as connection:
            self._model(connection, body.model)
            rows, token = query.page(connection, body.page_size, body.page_token)
            return {"versions": self._documents(connection, rows), "next_token": token}

    def update(self, body: bodies.UpdateModelVersion) -> dict[str, Any]:
        """Change marks, all at once or none. An alias leaves the version that had it. Safe to repeat.

        Raises:
            NotFound: there is no such version.
            Conflict: an alias to be removed belongs to another version.
        """
        with self._database.write() as connection:
            row = self._find(connection, body.model, "version", body.version)
            self._mark(connection, row, "stage", body.stage)
            self._mark(connection, row, "approval_status", body.approval_status)
            for alias in body.remove_aliases:
                self._remove_alias(connection, row, alias)
            for alias in body.add_aliases:
                self._add_alias(connection, row, alias)
            self._tag(connection, row, body)
            row = self._find(connection, body.model, "version", body.version)
            return self._documents(connection, [row])[0]

    def delete_version(self, body: bodies.NumberedVersion) -> dict[str, Any]:
        """Remove a version and its history. Its number is not given again; its artefact is the store's business.

        Raises:
            NotFound: there is no such version.
            Conflict: an alias points at it, or a deployment serves it; says which.
        """
        with self._database.write() as connection:
            row = self._find(connection, body.model, "version", body.version)
            holders = [*self._aliases(connection, row), *self._deployments(connection, row)]
            if holders:
                raise Conflict(
                    f"{body.model}:{body.version} is in use",
                    given=", ".join(holders),
                    todo="remove its aliases and the deployments that serve it, then delete it",
                )
            connection.execute("DELETE FROM history WHERE model = ? AND version = ?", (body.model, body.version))
            connection.execute("DELETE FROM versions WHERE seq = ?", (row["seq"],))
            tags.drop(connection, tags.VERSION, _name(row))
        return {}

    def delete_model(self, body: bodies.ModelName) -> dict[str, Any]:
        """Remove a model that has no versions left.

        Raises:
            NotFound: there is no such model.
            Conflict: it has versions.
        """
        with self._database.write() as connection:
            self._model(connection, body.model)
            (left,) = connection.execute("SELECT count(*) FROM versions WHERE model = ?", (body.model,)).fetchone()
            if left:
                raise Conflict(
                    "the model has versions", given=f"{body.model}, {left} versions", todo="delete its versions first"
                )
            connection.execute("DELETE FROM models WHERE name = ?", (body.model,))
        return {}

    def _insert(self, connection: sqlite3.Connection, body: bodies.CreateModelVersion, registration: str) -> None:
        now = stamp()
        connection.execute(
            "INSERT INTO models (name, created, updated) VALUES (?1, ?2, ?2) "
            "ON CONFLICT (name) DO UPDATE SET updated = excluded.updated",
            (body.model, now),
        )
        (version,) = connection.execute(
            "INSERT INTO version_counters VALUES (?, 1) ON CONFLICT DO UPDATE SET last = last + 1 RETURNING last",
            (body.model,),
        ).fetchone()
        connection.execute(
            "INSERT INTO versions "
            "(model, version, digest, registration, stage, approval_status, owner, created, updated) "
            "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)",
            (body.model, version, body.digest, registration, body.stage, body.approval_status, self._principal, now),
        )
        tags.put(connection, tags.VERSION, f"{body.model}:{version}", body.tags)
        self._note(connection, (body.model, version), "registered", None, body.digest)

    def _mark(self, connection: sqlite3.Connection, row: sqlite3.Row, mark: str, value: str | None) -> None:
        if value is None or value == row[mark]:
            return
        connection.execute(
            f"UPDATE versions SET {mark} = ?, updated = ? WHERE seq = ?",  # noqa: S608  our own column names
            (value, stamp(), row["seq"]),
        )
        self._note(connection, (row["model"], row["version"]), mark, row[mark], value)

    def _remove_alias(self, connection: sqlite3.Connection, row: sqlite3.Row, alias: str) -> None:
        holder = self._holder(connection, row["model"], alias)
        if holder is None:
            return
        if holder != row["version"]:
            raise Conflict(
                "the alias belongs to another version",
                given=f"{alias} of {_name(row)}",
                todo=f"remove it from {row['model']}:{holder}",
            )
        connection.execute("DELETE FROM aliases WHERE model = ? AND alias = ?", (row["model"], alias))
        self._touch(connection, row["model"], holder)
        self._note(connection, (row["model"], holder), "alias", alias, None)

    def _add_alias(self, connection: sqlite3.Connection, row: sqlite3.Row, alias: str) -> None:
        holder = self._holder(connection, row["model"], alias)
        if holder == row["version"]:
            return
        if holder is not None:
            self._touch(connection, row["model"], holder)
            self._note(connection, (row["model"], holder), "alias", alias, None)
        connection.execute("REPLACE INTO aliases VALUES (?, ?, ?)", (row["model"], alias, row["version"]))
        self._touch(connection, row["model"], row["version"])
        self._note(connection, (row["model"], row["version"]), "alias", None, alias)

    def _tag(self, connection: sqlite3.Connection, row: sqlite3.Row, body: bodies.UpdateModelVersion) -> None:
        name = _name(row)
        before = tags.of(connection, tags.VERSION, [name])[name]
        changes = {key: value for key, value in body.tags.items() if before.get(key) != value}
        if not changes:
            return
        tags.put(connection, tags.VERSION, name, changes)
        self._touch(connection, row["model"], row["version"])
        for key, value in changes.items():
            self._note(connection, (row["model"], row["version"]), f"tag {key}", before.get(key), value)

    def _note(
        self, connection: sqlite3.Connection, subject: tuple[str, int], mark: str, old: str | None, new: str | None
    ) -> None:
        """One more line of history: who changed which mark, when."""
        connection.execute(
            "INSERT INTO history (model, version, at, principal, mark, old, new) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*subject, stamp(), self._principal, mark, old, new),
        )

    def _touch(self, connection: sqlite3.Connection, model: str, version: int) -> None:
        connection.execute("UPDATE versions SET updated = ? WHERE model = ? AND version = ?", (stamp(), model, version))

    def _holder(self, connection: sqlite3.Connection, model: str, alias: str) -> int | None:
        row = connection.execute("SELECT version FROM aliases WHERE model = ? AND alias = ?", (model, alias)).fetchone()
        return int(row["version"]) if row else None

    def _aliases(self, connection: sqlite3.Connection, row: sqlite3.Row) -> Iterator[str]:
        found = connection.execute(
            "SELECT alias FROM aliases WHERE model = ? AND version = ? ORDER BY alias", (row["model"], row["version"])
        )
        return (f"alias {alias}" for (alias,) in found.fetchall())

    def _deployments(self, connection: sqlite3.Connection, row: sqlite3.Row) -> Iterator[str]:
        found = connection.execute(
            "SELECT endpoint, name FROM deployments WHERE model = ? AND (version = ? OR digest = ?) ORDER BY seq",
            (row["model"], row["version"], row["digest"]),
        )
        return (f"deployment {endpoint}/{name}" for endpoint, name in found.fetchall())

    def _model(self, connection: sqlite3.Connection, name: str) -> None:
        if connection.execute("SELECT 1 FROM models WHERE name = ?", (name,)).fetchone() is None:
            raise NotFound("there is no model of that name in this registry", given=name)

    def _named(self, connection: sqlite3.Connection, body: bodies.ModelVersion) -> sqlite3.Row:
        if body.alias is not None:
            holder = self._holder(connection, body.model, body.alias)
            if holder is None:
                raise NotFound("no version of the model has that alias", given=f"{body.model}@{body.alias}")
            return self._find(connection, body.model, "version", holder)
        if body.digest is not None:
            return self._find(connection, body.model, "digest", body.digest)
        return self._find(connection, body.model, "version", body.version)

    def _find(self, connection: sqlite3.Connection, model: str, column: str, value: Any) -> sqlite3.Row:
        row: sqlite3.Row | None = connection.execute(
            f"SELECT * FROM versions WHERE model = ? AND {column} = ?",  # noqa: S608  our own column names
            (model, value),
        ).fetchone()
        if row is None:
            raise NotFound("there is no such model version in this registry", given=f"{model}, {column} {value}")
        return row

    def _documents(self, connection: sqlite3.Connection, rows: Sequence[sqlite3.Row]) -> list[dict[str, Any]]:
        tagged = tags.of(connection, tags.VERSION, map(_name, rows))
        aliases = _aliases_of(connection, {row["model"] for row in rows})
        return [
            {
                **{column: row[column] for column in _TOLD},
                **{field: json.loads(row["registration"])[field] for field in _KEPT},
                "aliases": aliases.get((row["model"], row["version"]), []),
                "tags": tagged[_name(row)],
                "state": "ready",
            }
            for row in rows
        ]


def _name(row: sqlite3.Row) -> str:
    return f"{row['model']}:{row['version']}"


def _model(connection: sqlite3.Connection, row: sqlite3.Row) -> dict[str, Any]:
    count, newest = connection.execute(
        "SELECT count(*), max(version) FROM versions WHERE model = ?", (row["name"],)
    ).fetchone()
    return {
        "model": row["name"],
        "versions": count,
        "newest": newest,
        "created": row["created"],
        "updated": row["updated"],
    }


def _aliases_of(connection: sqlite3.Connection, models: Iterable[str]) -> dict[tuple[str, int], list[str]]:
    found: dict[tuple[str, int], list[str]] = {}
    for model in models:
        for alias, version in connection.execute(
            "SELECT alias, version FROM aliases WHERE model = ? ORDER BY alias", (model,)
        ):
            found.setdefault((model, version), []).append(alias)
    return found
