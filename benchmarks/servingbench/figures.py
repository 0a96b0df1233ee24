"""What was measured, as tables: bars with their verdicts, and the figures behind them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Bar:
    """One thing that must hold: what was found, what was asked, and whether it held; None where it was not measured."""

    row: str
    what: str
    found: str
    asked: str
    held: bool | None

    @property
    def verdict(self) -> str:
        """In words."""
        return NOT_MEASURED if self.held is None else "held" if self.held else "NOT HELD"


@dataclass(frozen=True)
class Table:
    """Figures behind the bars."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    note: str = ""


@dataclass
class Results:
    """Everything that a run found out."""

    bars: list[Bar] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)  # contender (or contender, case): the reason

    def at_most(self, row: str, what: str, found: float, limit: float, unit: str) -> None:
        """A bar from above."""
        self.bars.append(Bar(row, what, f"{number(found)} {unit}", f"≤ {number(limit)} {unit}", found <= limit))

    def at_least(self, row: str, what: str, found: float, limit: float, unit: str) -> None:
        """A bar from below."""
        self.bars.append(Bar(row, what, f"{number(found)} {unit}", f"≥ {number(limit)} {unit}", found >= limit))

    def is_true(self, row: str, what: str, *, held: bool, found: str, asked: str) -> None:
        """A bar that is met or not."""
        self.bars.append(Bar(row, what, found, asked, held))

    def unmeasured(self, row: str, what: str, why: str, asked: str) -> None:
        """A bar that nothing can be said of here."""
        self.bars.append(Bar(row, what, why, asked, None))

    @property
    def held(self) -> bool:
        """Whether every bar that was measured holds, and no contender is missing."""
        return not self.missing and all(bar.held is not False for bar in self.bars)

    def markdown(self, heading: str) -> str:
        """The whole document."""
        lines = [heading, "", "## Bars", ""]
        lines += table_lines(
            ("row", "what", "found", "asked", ""),
            [(bar.row, bar.what, bar.found, bar.asked, bar.verdict) for bar in self.bars],
        )
        if self.missing:
            lines += ["", "Missing:", ""]
            lines += [f"- {name}: {reason}" for name, reason in self.missing.items()]
        for table in self.tables:
            lines += ["", f"## {table.title}", "", *table_lines(table.columns, table.rows)]
            lines += ["", table.note] if table.note else []
        return "\n".join([*lines, ""])


def number(value: float) -> str:
    """Three digits that mean something, thousands with commas."""
    if value >= 100:  # noqa: PLR2004  from here on whole numbers say enough
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"  # noqa: PLR2004  the same for tenths


def table_lines(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """A table in Markdown; numbers to three digits, aligned right."""
    cells = [[number(cell) if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    listed = list(rows)
    marks = ["---:" if listed and isinstance(listed[0][at], (int, float)) else "---" for at in range(len(columns))]
    return [f"| {' | '.join(line)} |" for line in (columns, marks, *cells)]
