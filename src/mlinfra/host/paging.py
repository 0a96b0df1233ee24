"""Pages of long lists: newest first, each starting where the last one ended, whatever was added meanwhile."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from mlinfra.errors import UsageError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

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
            values.append(_decode(token))
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        statement = f"SELECT * FROM {self._table} {where} ORDER BY seq DESC LIMIT ?"  # noqa: S608  our own words, values apart
        rows = connection.execute(statement, (*values, size + 1)).fetchall()
        return rows[:size], _encode(rows[size - 1]["seq"]) if len(rows) > size else None


def _encode(seq: int) -> str:
    return base64.urlsafe_b64encode(str(seq).encode()).decode()


def _decode(token: str) -> int:
    try:
        return int(base64.urlsafe_b64decode(token.encode()))
    except (ValueError, binascii.Error) as exc:
        raise UsageError("not a token of this list", given=token, todo="pass the `next_token` of the page before") from exc
