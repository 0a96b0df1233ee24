"""Rows as an estimator takes them: float64 where all cells are numbers, else objects, or a data frame by name.

A missing cell, whether it comes as None or as NaN, is what the estimator was trained to see: NaN, or None in text.
"""

from __future__ import annotations

import math
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mlinfra.modelkit.sealing.lazy import Lazy
from mlinfra.modelkit.sealing.recipe import NotSealed, paired

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from mlinfra.modelkit.sealing.recipe import Recipe
else:
    np = Lazy("numpy")


def estimator_input(recipe: Recipe, rows: Any) -> Any:
    """What the estimator's own method is called with for these rows; raises NotSealed where that takes pandas."""
    if recipe.form == "numbers":
        numbers = np.asarray(rows, np.float64)
        return _data_frame(dict(paired(recipe.names, list(numbers.T)))) if recipe.by_name else numbers
    kinds = list(paired(recipe.column_kinds(), recipe.markers()))
    columns = [_column(kind, marker, [row[index] for row in rows]) for index, (kind, marker) in enumerate(kinds)]
    if recipe.by_name:
        return _data_frame(dict(paired(recipe.names, columns)))
    table = np.empty((len(rows), recipe.columns), dtype=object)
    for index, column in enumerate(columns):
        table[:, index] = column
    return table


def example_rows(recipe: Recipe, rows: Any) -> list[list[Any]]:
    """Rows given by a user (array, data frame, or lists) as lists of cells in column order, missing ones as None."""
    if rows is None:
        return []
    if hasattr(rows, "columns") and hasattr(rows, "to_numpy"):
        rows = rows[list(recipe.names)].to_numpy(dtype=object) if recipe.names else rows.to_numpy(dtype=object)
    listed = rows.tolist() if hasattr(rows, "tolist") else [_listed(row, recipe.names) for row in rows]
    if any(len(row) != recipe.columns for row in listed):
        raise NotSealed(f"the example has rows without {recipe.columns} cells")
    return [[_cell(cell) for cell in row] for row in listed]


def _listed(row: Any, names: Sequence[str]) -> list[Any]:
    return [row.get(name) for name in names or row] if isinstance(row, dict) else list(row)


def _column(kind: str, marker: float | None, cells: Sequence[Any]) -> Any:
    if kind == "number":
        return np.array([math.nan if cell is None else float(cell) for cell in cells])
    column = np.empty(len(cells), dtype=object)
    column[:] = [marker if cell is None else cell for cell in cells]
    return column


def _data_frame(columns: dict[str, Any]) -> Any:
    try:
        pd = import_module("pandas")
    except ImportError as exc:
        raise NotSealed("the estimator picks its columns by name, and pandas, which that takes, is missing") from exc
    return pd.DataFrame(columns)


def _cell(cell: Any) -> Any:
    value = cell.item() if hasattr(cell, "item") else cell
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return None if math.isnan(value) else value
    try:
        missing = bool(value != value)  # noqa: PLR0124  pandas' own missing values
    except TypeError:
        missing = True
    if missing:
        return None
    raise NotSealed(f"the example holds {value!r}: text, numbers and booleans are sealed")
