"""Schema and baseline statistics from an example: a data frame, an array, or a list of rows.

What is inferred only describes: types and missing cells enter the schema, ranges and categories enter the
baseline, where they serve comparison and never reject a row.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlinfra.errors import Problem, SpecError, shorten
from mlinfra.modelkit.check import is_missing
from mlinfra.modelkit.schema import Column, Schema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MOST_VALUES = 100  # distinct texts worth counting; a column with more is an identifier, not a category
_TIMES = ("datetime64", "timedelta64", "period")
_FORMS = "a data frame, a 2-D array, or a list of rows (objects by column, or arrays)"


@dataclass(frozen=True)
class Table:
    """An example by column. `dtypes` are known for a data frame alone; `source` is frame, array, objects or arrays."""

    names: tuple[str, ...]
    cells: tuple[list[Any], ...]  # one list per column, missing cells as None
    source: str
    dtypes: dict[str, str]
    nan_columns: tuple[str, ...] = ()  # where a missing cell was NaN rather than None

    def rows(self, count: int) -> list[list[Any]]:
        """The first rows, in the order of the columns."""
        return [[column[index] for column in self.cells] for index in range(min(count, len(self)))]

    def __len__(self) -> int:
        return len(self.cells[0]) if self.cells else 0


def read_example(example: Any, names: Sequence[str] | None = None) -> Table:
    """Take an example apart; `names` are used where it has none. Raises SpecError for anything else."""
    if hasattr(example, "dtypes") and hasattr(example, "columns"):
        return _from_frame(example)
    if hasattr(example, "ndim") and hasattr(example, "tolist"):
        return _from_array(example, names)
    if isinstance(example, (list, tuple)) and example:
        if all(isinstance(row, dict) for row in example):
            return _from_objects(example)
        if all(isinstance(row, (list, tuple)) and len(row) == len(example[0]) for row in example) and example[0]:
            return _table(names, [list(column) for column in zip(*example)], "arrays")
    raise SpecError("the example cannot be read as rows", given=example, allowed=_FORMS)


def infer_schema(table: Table) -> Schema:
    """Types from the cells, `nullable` where a cell is missing, no ranges.

    Only a data frame's own integer type makes an integer column: whole numbers in a list or in an array
    say nothing about the next row.
    """
    problems: list[Problem] = []
    columns = [_column(table, index, problems) for index in range(len(table.names))]
    if problems:
        raise SpecError("no schema can be inferred from the example", problems=problems)
    return Schema(tuple(columns))


def baseline(table: Table, schema: Schema) -> dict[str, Any]:
    """What the example looks like, column by column: range and mean, or the shares of its values; share missing."""
    return {column.name: _statistics(column, table.cells[index]) for index, column in enumerate(schema.columns)}


def _from_frame(frame: Any) -> Table:
    names = [str(name) for name in frame.columns]
    if len(set(names)) < len(names):
        raise SpecError("two columns of the example have the same name", given=names)
    dtypes = {name: str(dtype) for name, dtype in zip(names, list(frame.dtypes))}
    _refuse_times(dtypes)
    cells = [frame[name].to_numpy().tolist() for name in frame.columns]
    return _table(names, cells, "frame", dtypes)


def _from_array(array: Any, names: Sequence[str] | None) -> Table:
    if array.ndim != 2 or not array.shape[1]:  # noqa: PLR2004  rows and columns
        raise SpecError("the example array is not two-dimensional", given=f"shape {array.shape}", allowed=_FORMS)
    _refuse_times({"the array": str(array.dtype)})
    columns = [array[:, index].tolist() for index in range(array.shape[1])]
    return _table(names, columns, "array", {"": str(array.dtype)})


def _refuse_times(dtypes: Mapping[str, str]) -> None:
    """Their cells would pass for whole numbers."""
    problems = [
        Problem(f"holds {dtype}", path=name, allowed="numbers, strings or booleans; a date as a number or as text")
        for name, dtype in dtypes.items()
        if dtype.startswith(_TIMES)
    ]
    if problems:
        raise SpecError("no schema can be inferred from the example", problems=problems)


def _from_objects(rows: Sequence[dict[str, Any]]) -> Table:
    names = list(dict.fromkeys(str(name) for row in rows for name in row))
    return _table(names, [[row.get(name) for row in rows] for name in names], "objects")


def _table(
    names: Sequence[str] | None, cells: Sequence[list[Any]], source: str, dtypes: dict[str, str] | None = None
) -> Table:
    if names is None or len(names) != len(cells):
        names = [f"x{index}" for index in range(len(cells))]
    with_nan = tuple(name for name, column in zip(names, cells) if any(map(_is_nan, column)))
    return Table(tuple(names), tuple(_plain(column) for column in cells), source, dtypes or {}, with_nan)


def _is_nan(cell: Any) -> bool:
    return isinstance(cell, float) and math.isnan(cell)


def _plain(cells: list[Any]) -> list[Any]:
    cells = [cell.item() if getattr(cell, "shape", None) == () else cell for cell in cells]
    return [None if is_missing(cell) else cell for cell in cells]


def _column(table: Table, index: int, problems: list[Problem]) -> Column:
    name, cells = table.names[index], table.cells[index]
    kinds = {type(cell) for cell in cells if cell is not None}
    nullable = len(cells) == 0 or any(cell is None for cell in cells)
    if kinds <= {bool} and kinds:
        return Column(name, "boolean", nullable=nullable)
    if kinds <= {int, float}:
        whole = "int" in table.dtypes.get(name, "").lower()
        return Column(name, "integer" if whole else "number", nullable=nullable)
    if kinds <= {str}:
        return Column(name, "string", nullable=nullable)
    found = ", ".join(sorted(kind.__name__ for kind in kinds))
    allowed = "numbers, strings or booleans, one kind in a column"
    odd = next(cell for cell in cells if type(cell) not in (int, float, type(None)))
    problems.append(Problem(f"holds {found}", path=name, given=shorten(odd), allowed=allowed))
    return Column(name, "string")


def _statistics(column: Column, cells: list[Any]) -> dict[str, Any]:
    known = [cell for cell in cells if cell is not None]
    statistics: dict[str, Any] = {"missing": 1 - len(known) / len(cells) if cells else 0.0}
    if not known:
        return statistics
    if column.type in ("integer", "number"):
        return {"min": min(known), "max": max(known), "mean": math.fsum(known) / len(known), **statistics}
    shares = Counter(str(cell) for cell in known).most_common(_MOST_VALUES)
    return {"values": {value: count / len(known) for value, count in shares}, **statistics}
