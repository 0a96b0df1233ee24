"""Tags of every kind of resource, in one table."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping

JOB, VERSION, ENDPOINT, DEPLOYMENT = "job", "version", "endpoint", "deployment"


def put(connection: sqlite3.Connection, kind: str, resource: str, tags: Mapping[str, str | None]) -> None:
    """Set tags beside those that are there; None removes one."""
    connection.executemany(
        "INSERT INTO tags (kind, id, key, value) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (kind, id, key) DO UPDATE SET value = excluded.value",
        [(kind, resource, key, value) for key, value in tags.items() if value is not None],
    )
    connection.executemany(
        "DELETE FROM tags WHERE kind = ? AND id = ? AND key = ?",
        [(kind, resource, key) for key, value in tags.items() if value is None],
    )


def drop(connection: sqlite3.Connection, kind: str, resource: str) -> None:
    """Remove all tags of a resource."""
    connection.execute("DELETE FROM tags WHERE kind = ? AND id = ?", (kind, resource))


def of(connection: sqlite3.Connection, kind: str, resources: Iterable[str]) -> dict[str, dict[str, str]]:
    """The tags of each resource, in one query."""
    found: dict[str, dict[str, str]] = {resource: {} for resource in resources}
    marks = ", ".join("?" * len(found))
    rows = connection.execute(
        f"SELECT id, key, value FROM tags WHERE kind = ? AND id IN ({marks}) ORDER BY key",  # noqa: S608  only marks
        (kind, *found),
    )
    for resource, key, value in rows:
        found[resource][key] = value
    return found
