"""What the stand-in providers have made, in a file that only its owner may read: it holds secrets in the clear."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_TABLES = """
create table if not exists resources(token text, id text, inputs text, outputs text, primary key(token, id));
create table if not exists calls(number integer primary key autoincrement, rpc text, token text, subject text);
"""


@dataclass(frozen=True)
class Kept:
    """A resource that exists: the inputs as they came, wrapped, and everything that the provider tells of it."""

    token: str
    id: str
    inputs: dict[str, Any]
    outputs: dict[str, Any]


class State:
    """Thread-safe. The file outlives the process, so that the engine's next run finds what the last one made."""

    def __init__(self, path: Path) -> None:
        path.touch(mode=0o600)
        path.chmod(0o600)
        self._lock = Lock()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.executescript(_TABLES)

    def get(self, token: str, native_id: str) -> Kept | None:
        """A resource, None where there is none."""
        rows = self._run("select inputs, outputs from resources where token = ? and id = ?", token, native_id)
        return Kept(token, native_id, json.loads(rows[0][0]), json.loads(rows[0][1])) if rows else None

    def put(self, kept: Kept) -> None:
        """Write a resource, in the place of what was there."""
        self._run(
            "insert or replace into resources values (?, ?, ?, ?)",
            kept.token,
            kept.id,
            json.dumps(kept.inputs),
            json.dumps(kept.outputs),
        )

    def remove(self, token: str, native_id: str) -> None:
        """Forget a resource. Safe to repeat."""
        self._run("delete from resources where token = ? and id = ?", token, native_id)

    def all(self) -> list[Kept]:
        """Everything that exists, by type and id."""
        rows = self._run("select token, id, inputs, outputs from resources order by token, id")
        return [Kept(token, native_id, json.loads(given), json.loads(told)) for token, native_id, given, told in rows]

    def note(self, rpc: str, token: str = "", subject: str = "") -> None:
        """Write down that the engine called."""
        self._run("insert into calls(rpc, token, subject) values (?, ?, ?)", rpc, token, subject)

    def calls(self, rpc: str = "") -> list[tuple[str, str, str]]:
        """The engine's calls in their order: name, type of resource, id or logical name."""
        return self._run("select rpc, token, subject from calls where ? in ('', rpc) order by number", rpc)

    def close(self) -> None:
        """Let go of the file. Safe to repeat."""
        with self._lock:
            self._database.close()

    def _run(self, statement: str, *values: Any) -> list[Any]:
        with self._lock:
            return self._database.execute(statement, values).fetchall()


def edited(kept: Kept, changes: Mapping[str, Any]) -> Kept:
    """A resource whose inputs somebody changed behind the engine's back."""
    return Kept(kept.token, kept.id, {**kept.inputs, **changes}, {**kept.outputs, **changes})
