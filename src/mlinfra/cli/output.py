"""What goes to stdout: tables for people, one JSON document for machines."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence


@dataclass(frozen=True)
class Table:
    """Rows under a head; cells are whatever `cell` can tell. `empty` is said in place of a table without rows."""

    head: Sequence[str]
    rows: Sequence[Sequence[Any]]
    title: str = ""
    empty: str = ""


def facts(pairs: Mapping[str, Any], title: str = "") -> Table:
    """A table of two columns without a head: what is known of one thing. Empty facts are left out."""
    return Table((), [(name, value) for name, value in pairs.items() if value not in ("", None, (), [], {})], title)


def marked(table: Table) -> Table:
    """The table with `emulated` on each of its lines, among its facts, or above its text."""
    if table.rows and len(table.rows[0]) == 1 and not table.head:
        return replace(table, title=f"[emulated] {table.title}".rstrip())
    if not table.head:
        told = any(row[0] == "emulated" for row in table.rows)
        return table if told or not table.rows else replace(table, rows=[*table.rows, ("emulated", True)])
    if "emulated" in table.head:
        return table
    return replace(table, head=[*table.head, "emulated"], rows=[[*row, True] for row in table.rows])


def write_document(document: Mapping[str, Any]) -> None:
    """Print one JSON document."""
    sys.stdout.write(json.dumps(document, indent=2, default=_plain, ensure_ascii=False, allow_nan=False) + "\n")


def write_tables(tables: Iterable[Table]) -> None:
    """Print tables one below the other; what an empty one says goes to stderr."""
    printed = 0
    for table in tables:
        if not table.rows:
            click.echo(table.empty or "none", err=True)
            continue
        if printed:
            sys.stdout.write("\n")
        printed += 1
        if sys.stdout.isatty():
            _write_styled(table)
        else:
            _write_plain(table)


def cell(value: Any) -> str:
    """A value as a person reads it."""
    if value is None or value in ("", [], (), {}):
        return "-"
    tell = next((tell for kind, tell in _TOLD if isinstance(value, kind)), str)
    return tell(value)


def ago(moment: datetime | None) -> str:
    """How long since, in one unit: `3 days ago`."""
    if moment is None:
        return "-"
    seconds = max(0, int((datetime.now(UTC) - moment).total_seconds()))
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if count := seconds // length:
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return f"{seconds} s ago"


def _write_plain(table: Table) -> None:
    """Columns of equal width: to a file or a pipe, where tools read it."""
    rows = [[cell(each) for each in row] for row in table.rows]
    if table.head:
        rows.insert(0, [name.upper() for name in table.head])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    if table.title:
        sys.stdout.write(f"{table.title}\n")
    for row in rows:
        sys.stdout.write("  ".join(map(str.ljust, row, widths)).rstrip() + "\n")


def _write_styled(table: Table) -> None:
    """The same on a screen: folded to its width."""
    from rich.console import Console  # noqa: PLC0415  only a screen is worth its price
    from rich.table import Table as Styled  # noqa: PLC0415  see above
    from rich.text import Text  # noqa: PLC0415  see above

    styled = Styled(box=None, show_header=bool(table.head), pad_edge=False)
    for name in table.head or ("", ""):
        styled.add_column(name.upper(), overflow="fold")
    for row in table.rows:
        styled.add_row(*(Text(cell(each)) for each in row))
    console = Console(highlight=False)
    if table.title:
        console.print(Text(table.title, style="bold"))
    console.print(styled)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise TypeError(type(value).__name__)


_TOLD: tuple[tuple[type | tuple[type, ...], Callable[[Any], str]], ...] = (
    (datetime, lambda value: value.astimezone().strftime("%Y-%m-%d %H:%M:%S")),
    (bool, lambda value: "yes" if value else "no"),
    (float, lambda value: f"{value:.6g}"),
    (dict, lambda value: ", ".join(f"{name}={cell(each)}" for name, each in value.items())),
    ((list, tuple), lambda value: ", ".join(map(cell, value))),
)
