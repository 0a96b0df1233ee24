"""Pages of long lists: newest first, each starting where the last one ended, whatever was added meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.host import tokens

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

LARGEST_PAGE = 1000


class Query:
    """A SELECT over one table with a `seq` column, put together condition by condition."""

    def __init__(self, table: str) -> None:
        self._table = table
        self._conditions: list[str] = []
        self._values: list[Any] = []

    def where(self, condition: str, *values: Any) -> None:
        """Narrow by one more condition with its values."""
        self._conditions.append(condition)
        self._values += values

    def one_of(self, column: str, values: Sequence[str]) -> None:
        """Narrow to some values of a column; an empty sequence does not narrow."""
        if values:
            self.where(f"{column} IN ({', '.join('?' * len(values))})", *values)

    def tagged(self, kind: str, column: str, tags: Mapping[str, str]) -> None:
        """Narrow to resources that carry all these tags; `column` holds their names."""
        for key, value in tags.items():
            self.where(f"{column} IN (SELECT id FROM tags WHERE kind = ? AND key = ? AND value = ?)", kind, key, value)  # noqa: S608  our own column

    def page(
        self, connection: sqlite3.Connection, size: int, token: str | None
    ) -> tuple[list[sqlite3.Row], str | None]:
        """One page of rows and the token of the next, None at the end.

        Raises:
            UsageError: the token was not made here.
        """
        conditions, values = list(self._conditions), list(self._values)
        if token:
            conditions.append("seq < ?")
            values.append(_position(token))
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        statement = f"SELECT * FROM {self._table} {where} ORDER BY seq DESC LIMIT ?"  # noqa: S608  our own words, values apart
        rows = connection.execute(statement, (*values, size + 1)).fetchall()
        return rows[:size], tokens.encode(str(rows[size - 1]["seq"])) if len(rows) > size else None


def _position(token: str) -> int:
    text = tokens.decode(token)
    if text.isascii() and text.isdigit():
        return int(text)
    raise tokens.refused(token)
